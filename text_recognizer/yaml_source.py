"""Reads a sweep's YAML: plain data, line numbers, and the traps of YAML 1.1.

W&B reads YAML 1.1, so its semantics are kept; silent conversions (1e-5 becomes text, `no` becomes false) are reported.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from text_recognizer.errors import SpecError, reason

YamlPath = tuple[Any, ...]

# PyYAML takes about a tenth of a millisecond per node.
_MOST_CHARACTERS = 1_000_000
_MOST_NODES = 50_000
_MOST_NESTED = 64
_LONGEST_NUMBER = 1_000  # PyYAML reads those in base 60 in quadratic time

_JSON_KINDS = ("str", "int", "float", "bool", "null", "seq", "map", "merge")
# Accepted by float() but not by YAML 1.1, where an exponent needs a point before it and a sign.
_EXPONENT = re.compile(r"([-+]?)(\d+)(?:\.(\d*))?[eE]([-+]?)(\d+)")
_OLD_OCTAL = re.compile(r"[-+]?0[0-7_]+")


class YamlSource:
    """A YAML document.

    Args:
        text: the document.
        source: its file name, for messages.
    Raises:
        SpecError: it is not YAML, too large, has duplicate keys, or values that JSON cannot represent; with lines.
    """

    def __init__(self, text: str, source: str) -> None:
        if len(text) > _MOST_CHARACTERS:
            raise SpecError(f"it has {len(text):,} characters. At most {_MOST_CHARACTERS:,} are read.", source)
        try:
            loader = _BoundedLoader(text)
            self._root: yaml.Node | None = loader.get_single_node()
            problems = sorted(_problems(self._root))  # before the loader merges mappings
            self.data: Any = loader.construct_document(self._root) if self._root is not None else None
        except yaml.YAMLError as error:
            raise SpecError(_in_words(error, text), source) from None
        except (ValueError, OverflowError, RecursionError) as error:
            raise SpecError(f"YAML cannot read the sweep: {reason(error)}.", source) from None
        if problems:
            raise SpecError([f"line {line}: {problem}" for line, problem in problems], source)

    def line_of(self, path: YamlPath) -> int:
        """The line, counted from 1, of the last existing key of a path."""
        return self._found(path)[1]

    def traps(self, path: YamlPath) -> list[str]:
        """Values below a path that YAML 1.1 reads differently than intended; one sentence each, with its line."""
        scalars = [one for one in _nodes(self._found(path)[0]) if isinstance(one, yaml.ScalarNode)]
        return [f"line {one.start_mark.line + 1}: {trap}" for one in scalars if (trap := _trap(one))]

    def _found(self, path: YamlPath) -> tuple[yaml.Node | None, int]:
        """The node at a path, or None, and the line of the last existing key."""
        node, line = self._root, 1
        for part in path:
            found = _child(node, part)
            if found is None:
                return None, line
            node, line = found
        return node, line


# Not the C loader: it composes in one step, without these limits.
class _BoundedLoader(yaml.SafeLoader):
    """Counts the nodes of a document, with every alias expanded, before anything is built."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = self._depth = 0
        self._counts: dict[str, int] = {}  # of nodes by anchor, once complete

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        anchor = str(event.anchor)
        is_alias = isinstance(event, yaml.AliasEvent)
        if self._depth == _MOST_NESTED:
            raise ComposerError(None, None, f"nested more than {_MOST_NESTED} deep", event.start_mark)
        before = self._count
        self._count += self._counts.get(anchor, 0) if is_alias else 1
        if self._count > _MOST_NODES:
            problem = f"more than {_MOST_NODES:,} values, aliases (*name) written out"
            raise ComposerError(None, None, problem, event.start_mark)
        if is_alias and anchor in self.anchors and anchor not in self._counts:
            problem = f"the alias *{anchor} lies inside what it stands for"
            raise ComposerError(None, None, problem, event.start_mark)
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if event.anchor is not None and not is_alias:
            self._counts[anchor] = self._count - before
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep)
        kind = node.tag.rpartition(":")[2]
        problem = f"'{node.value[:40]}' is no {kind}"
        if kind in ("int", "float") and len(node.value) > _LONGEST_NUMBER:
            raise ConstructorError(None, None, f"a number of {len(node.value):,} characters", node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError, LookupError, AttributeError, TypeError):
            raise ConstructorError(None, None, problem, node.start_mark) from None


def _nodes(root: yaml.Node | None) -> Iterator[yaml.Node]:
    """A node and all values below it in document order, each once regardless of aliases."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in reversed(node.value)]
        elif isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)


def _problems(root: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Repeated keys, and what JSON cannot represent, with their lines."""
    for node in _nodes(root):
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        keys = [key for key, _ in pairs if isinstance(key, yaml.ScalarNode)]
        first_lines: dict[tuple[str, str], int] = {}
        for key in keys:
            line, first = key.start_mark.line + 1, first_lines.get((key.tag, key.value))
            if first is not None and key.value != "<<":
                yield line, f"the key '{key.value}' is there twice; readers of YAML silently drop that of line {first}."
            first_lines.setdefault((key.tag, key.value), line)
        for one in (node, *keys):
            kind = one.tag.rpartition(":")[2]
            if kind not in _JSON_KINDS:
                which = f"{kind} '{one.value[:40]}'" if isinstance(one, yaml.ScalarNode) else kind
                yield (
                    one.start_mark.line + 1,
                    f"the {which} is nothing that JSON knows, and W&B's client fails on it. Put dates and the like in "
                    f"quotes.",
                )


def _in_words(error: yaml.YAMLError, text: str) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"not valid YAML: {reason(error)}."
    lines = text.splitlines()
    content = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in content[: len(content) - len(content.lstrip())]:
        return f"line {mark.line + 1}: indented by a tab; YAML takes blanks only."
    said = [part for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part]
    return f"line {mark.line + 1}, column {mark.column + 1}: not valid YAML: {': '.join(said)}."


def _child(node: yaml.Node | None, part: Any) -> tuple[yaml.Node, int] | None:
    """The value of a key or index, with the line of the key or item."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        # From the end: keys merged in by << come before the mapping's own keys, which take precedence.
        for key, value in reversed(node.value):
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value == part or yaml.constructor.SafeConstructor().construct_object(key) == part:
                return value, key.start_mark.line + 1
    return None


def _trap(node: yaml.ScalarNode) -> str:
    if node.style:  # in quotes: intended as text
        return ""
    kind, text = node.tag.rpartition(":")[2], node.value
    if kind == "str":
        return text_number_hint(text).strip()
    if kind == "bool" and text.lower() not in ("true", "false"):
        return f"'{text}' is {text.lower() in ('yes', 'on')} to YAML 1.1. Put it in quotes if it is a word."
    if kind == "int" and _OLD_OCTAL.fullmatch(text):
        octal = int(text.replace("_", ""), 8)
        return f"'{text}' is octal to YAML 1.1, {octal}. Leave out the leading 0 if it is decimal."
    if kind in ("int", "float") and ":" in text:
        return f"'{text}' is a number in base 60 to YAML 1.1. Put it in quotes if it is a time."
    return ""


def text_number_hint(value: Any) -> str:
    """A hint with a leading blank if a text looks like a number that YAML read as text, else ""."""
    if not isinstance(value, str):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    match = _EXPONENT.fullmatch(value)
    if match is None:
        return f" '{value}' is text, not a number."
    sign, whole, fraction, exponent_sign, exponent = match.groups()
    return (
        f" '{value}' is text to YAML 1.1: write {sign}{whole}.{fraction or '0'}e{exponent_sign or '+'}{exponent}"
        " (an exponent needs a point before it and a sign)."
    )
