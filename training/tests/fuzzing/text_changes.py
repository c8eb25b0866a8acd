"""Changes in the structure of texts: JSON, YAML, XML, lines with fields."""

import json
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import yaml

from training.tests.fuzzing.byte_changes import TOKENS, Random

VALUES: tuple[Any, ...] = (
    *(None, True, False, "", [], {}, [[]], {"": 0}, [None], 0, -1, 1, 1.5, -0.0, 2**31, 2**53, 2**63, 2**64, 10**400),
    *(1e308, 1e-300, -1e308, float("nan"), float("inf"), 1e18, "x", "a" * 70_000, "\0", "\ud800", "²", "٣", "\u202e"),
    *("..", "/dev/zero", "/", "../../x", "x/y", ".", "utf-8\0", "nan", "1e5", "subprocess:Popen", "os:abort", "a:b"),
    *("2000-01-01", "(a+)+$", "é\u0301" * 50, "CON", "last", "running", "finished", "9" * 12, "null", "file:///x"),
)

_RAW = "\x01raw\x01"

_RAWS = (
    *("[" * 100_000, '{"a":' * 100_000, "9" * 5000, "-", "NaN", "1e400", '"\\ud800"', '"\\u0000"'),
    "[" * 900 + "]" * 900,
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a JSON value, without recursion."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for key in keys:
            yield one, key
            waiting.append(one[key])


def _change_tree(root: list[Any], draw: Random) -> None:
    places = list(_places(root))
    where, key = draw.choice(places)
    chance = draw.random()
    if chance < 0.5:
        where[key] = draw.choice(VALUES)
    elif chance < 0.6 and where is not root:
        del where[key]
    elif chance < 0.7:
        there, other = draw.choice(places)
        where[key] = json.loads(json.dumps(there[other]))
    elif chance < 0.75:
        where[key] = draw.choice(([where[key]], {"a": where[key]}, [where[key]] * 3, str(where[key])))
    elif chance < 0.85 and isinstance(where, dict):
        where[str(draw.choice((*VALUES, f"{key}.a", str(key)[:-1])))] = where.pop(key)
    elif chance < 0.92 and isinstance(where[key], (int, float)):
        where[key] = draw.choice((-where[key], where[key] + 0.5, where[key] * 1000, str(where[key]), 2**40))
    else:
        where[key] = _RAW


def changed_json(content: bytes, draw: Random) -> bytes:
    root = [json.loads(content)]
    for _ in range(draw.choice((1, 1, 1, 3))):
        _change_tree(root, draw)
    text = json.dumps(root[0], ensure_ascii=draw.random() < 0.9, indent=draw.choice((None, 1)))
    return text.replace(json.dumps(_RAW), draw.choice(_RAWS)).encode(errors="surrogatepass")


def changed_json_lines(content: bytes, draw: Random) -> bytes:
    lines = content.split(b"\n")
    at = draw.randrange(len(lines))
    chance = draw.random()
    if chance < 0.7:
        lines[at] = changed_json(lines[at], draw).replace(b"\n", b"")
    elif chance < 0.8:
        del lines[at]
    else:
        lines.insert(at, draw.choice((lines[at], b"{}", b"[]", b"5", b"\0" * 40, b'{"event": "start"', b"[" * 5000)))
    return b"\n".join(lines)


def changed_yaml(content: bytes, draw: Random) -> bytes:
    if draw.random() < 0.03:
        levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, draw.choice((4, 6, 9))))
        return b"a0: &a0 [x, x]\n" + levels.encode() + b"\n" + content
    if draw.random() < 0.4:
        return changed_lines(content, draw)
    root = [json.loads(json.dumps(yaml.safe_load(content)))]
    _change_tree(root, draw)
    text = yaml.safe_dump(root[0], allow_unicode=True, sort_keys=False)
    return text.replace(json.dumps(_RAW), draw.choice(_RAWS)).encode(errors="surrogatepass")


def changed_xml(content: bytes, draw: Random) -> bytes:
    root = ET.fromstring(content)
    elements = list(root.iter())
    one = draw.choice(elements)
    text = str(draw.choice(VALUES)).replace("\0", "").replace("\ud800", "")
    chance = draw.random()
    if chance < 0.5 and one.attrib:
        value = draw.choice((text, "-1", "1e9", "9" * 5000, "0,0 1e30,5 nan,3", "structure {" * 20_000))
        one.set(draw.choice(sorted(one.attrib)), value)
    elif chance < 0.6 and one.attrib:
        del one.attrib[draw.choice(sorted(one.attrib))]
    elif chance < 0.7:
        one.text = text
    elif chance < 0.8 and len(one):
        one.remove(draw.choice(list(one)))
    elif chance < 0.9:
        one.append(draw.choice(elements[1:]) if one not in elements[1:] else ET.Element("x"))
    elif chance < 0.95:
        one.tag = draw.choice(elements).tag
    else:
        one.text = _RAW
    name = draw.choice(("TextLine", "String", "a", "Page", "line"))
    depth = draw.choice((10, 900, 20_000))
    nested = draw.choice((f"<{name}>" * depth + f"</{name}>" * depth, f"<{name}/>" * depth))
    return ET.tostring(root).replace(_RAW.encode(), nested.encode())


def changed_lines(content: bytes, draw: Random) -> bytes:
    """A change of whole lines, or of one field of a line."""
    lines = content.split(b"\n")
    at = draw.randrange(len(lines))
    chance = draw.random()
    if chance < 0.15:
        del lines[at]
    elif chance < 0.3:
        lines.insert(draw.randrange(len(lines) + 1), lines[at])
    elif chance < 0.32:
        lines[at:at] = [lines[at]] * draw.choice((100, 5000))
    else:
        fields = re.split(rb"([\t ,|=:]+)", lines[at])
        value = str(draw.choice(VALUES)).encode(errors="surrogatepass")
        fields[draw.randrange(len(fields))] = draw.choice((value, value, b"", draw.choice(TOKENS), draw.choice(fields)))
        lines[at] = b"".join(fields)
    return b"\n".join(lines)
