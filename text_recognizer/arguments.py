"""Arguments of parts that are given by name: read from the signature, checked, completed with defaults.

The signature is the only description of an argument. Annotations contain types and ranges, for example
``Annotated[float, Ge(0), Lt(1)]`` (from annotated_types); pydantic applies them to values from JSON.
"""

import contextlib
import dataclasses
import functools
import inspect
import json
import re
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pydantic

from text_recognizer.errors import Problem
from text_recognizer.wording import did_you_mean, received

CLASS_ALONE = "Give a class, not an object of it; its arguments stand in keys of their own, like network_args."
REQUIRED = inspect.Parameter.empty
_ARGS = re.compile(
    r"^Args:\n((?:(?:    .*)?(?:\n|\Z))+)", re.MULTILINE
)  # of a docstring, up to the next line that is not indented


@dataclass(frozen=True)
class Argument:
    """An argument: its type with ranges (Any if unknown), and a factory for its default value, or REQUIRED."""

    name: str
    annotation: Any
    make_default: Callable[[], Any]

    @property
    def default(self) -> Any:
        """The default value, or REQUIRED."""
        return self.make_default()


@functools.lru_cache(maxsize=1000)  # a sweep asks for the same signatures ten thousand times
def arguments_of(target: Callable[..., Any]) -> Mapping[str, Argument]:
    """The arguments of a class or function by name, in the order of the signature.

    The name "*" stands for any further argument (``**kwargs``).
    """
    try:
        hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    except (NameError, AttributeError, TypeError):
        hints = {}  # annotations that only a type checker can resolve: names are still checked, values are not
    fields = dataclasses.fields(target) if dataclasses.is_dataclass(target) else ()
    factories = {one.name: one.default_factory for one in fields if one.default_factory is not dataclasses.MISSING}
    found: dict[str, Argument] = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            found["*"] = Argument("*", Any, lambda: None)
        elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            fixed = functools.partial(lambda default: default, parameter.default)
            found[name] = Argument(name, hints.get(name, Any), factories.get(name, fixed))
    return MappingProxyType(found)


def description_of(target: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The description of a class or function from its docstring, and those of its arguments.

    A class inherits the descriptions of its base classes. Under "Args:", several arguments may share one description:
    "left, right: pixels that are cropped".
    """
    owner = target if inspect.isclass(target) else getattr(target, "__self__", None)
    found: dict[str, str] = {}
    for one in (target, *getattr(owner, "__mro__", ())):
        section = _ARGS.search(inspect.cleandoc(one.__doc__ or ""))
        for entry in re.split(r"^    (?=\S)", section[1] if section else "", flags=re.MULTILINE):
            names, _, text = " ".join(entry.split()).partition(": ")
            found |= {name: text for name in names.split(", ") if name.isidentifier() and name not in found}
    return _ARGS.sub("", inspect.getdoc(target) or "").strip(), found


def check_arguments(
    label: str, target: Callable[..., Any], values: Mapping[str, Any], apart_from: Collection[str] = (), key: str = ""
) -> tuple[dict[str, Any], list[str]]:
    """Checks values against a signature.

    Args:
        label: name of the target in messages, for example "network 'mlp'".
        values: values from JSON.
        apart_from: arguments that are not part of a spec.
        key: key of the spec that contains the values.
    Returns:
        the values completed with all defaults, and the problems (if any, the values are incomplete).
    """
    try:
        arguments = {name: argument for name, argument in arguments_of(target).items() if name not in apart_from}
    except (ValueError, TypeError):  # some classes and functions written in C
        return {}, [Problem(f"{label} does not declare its arguments. Name a function or class in Python.", key)]
    accepts_any = arguments.pop("*", None) is not None
    group = f"{key}." if key else ""
    takes = f"It takes: {', '.join(arguments)}." if arguments else "It takes none."
    problems: list[str] = [
        Problem(f"{label} has no argument '{name}'.{did_you_mean(name, arguments)} {takes}", f"{group}{name}")
        for name in values
        if name not in arguments and not accepts_any
    ]
    resolved = {name: value for name, value in values.items() if name not in arguments and accepts_any}
    for name, argument in arguments.items():
        if name in values:
            value, value_problems = check_value(f"{label}: {name}", argument.annotation, values[name])
            problems += [Problem(problem, f"{group}{name}") for problem in value_problems]
            resolved[name] = value
        elif argument.default is REQUIRED:
            problems.append(Problem(f"{label} needs the argument '{name}'.", f"{group}{name}"))
        else:
            resolved[name] = argument.default
    return resolved, problems


def check_value(label: str, annotation: Any, value: Any) -> tuple[Any, list[str]]:
    """Checks one JSON value against an annotation; returns the converted value and the problems."""
    adapter = _adapter(annotation)
    if adapter is None:
        return value, []
    try:
        as_json = json.dumps(value, allow_nan=False)
    except ValueError:
        return value, [f"{label} must not hold NaN, infinity or a number of thousands of digits. {received(value)}"]
    except TypeError:
        return value, [f"{label} must be a JSON value, or a class. {received(value)} {CLASS_ALONE}"]
    try:
        return adapter.validate_json(as_json, strict=True), []
    except pydantic.ValidationError as error:
        # A sampler of integers may return 64.0.
        if isinstance(value, float) and value.is_integer():
            with contextlib.suppress(pydantic.ValidationError):
                return adapter.validate_json(json.dumps(int(value)), strict=True), []
        return value, _sentences(label, error)


def json_schema_of(target: Callable[..., Any], apart_from: Collection[str] = ()) -> dict[str, Any]:
    """JSON Schema of the object with a target's arguments, except those that are not part of a spec."""
    arguments = {name: argument for name, argument in arguments_of(target).items() if name not in apart_from}
    extra = arguments.pop("*", None) is not None
    properties: dict[str, Any] = {}
    _, meanings = description_of(target)
    for name, argument in arguments.items():
        adapter = _adapter(argument.annotation)
        properties[name] = _inlined(adapter.json_schema()) if adapter is not None else {}
        properties[name] |= {"description": meanings[name]} if name in meanings else {}
        if argument.default is not REQUIRED:
            properties[name]["default"] = to_json(argument.default)
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": extra}
    required = [name for name, argument in arguments.items() if argument.default is REQUIRED]
    return schema | ({"required": required} if required else {})


def describe_annotation(annotation: Any) -> str:
    """An annotation as text, for listings: "int >= 1", "'a' or 'b'", "float or null"."""
    adapter = _adapter(annotation)
    return _describe_schema(_inlined(adapter.json_schema())) if adapter is not None else "any"


def to_json(value: Any) -> Any:
    """A default or checked value as plain JSON (tuples as lists, dataclasses as objects)."""
    if dataclasses.is_dataclass(value):
        return {one.name: to_json(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def _adapter(annotation: Any) -> pydantic.TypeAdapter[Any] | None:
    try:
        return _cached_adapter(annotation)
    except TypeError:  # an annotation that cannot be hashed, for example with a list in it
        return _cached_adapter.__wrapped__(annotation)


@functools.lru_cache(maxsize=1000)
def _cached_adapter(annotation: Any) -> pydantic.TypeAdapter[Any] | None:
    try:
        return None if annotation is Any else pydantic.TypeAdapter(annotation)
    except pydantic.PydanticSchemaGenerationError:
        return None


_SENTENCES = {
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_type": "must be a whole number",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be one of {expected}",
    "missing": "is required",
    "none_required": "must be null",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "value_error": "{error}",
    "unexpected_keyword_argument": "is not a known key",
    "dataclass_type": "must be an object",
}


def _sentences(label: str, error: pydantic.ValidationError) -> list[str]:
    """One sentence per faulty value; the branches of a union ("a number or text") are joined into one."""
    by_place: dict[tuple[Any, ...], tuple[list[str], Any]] = {}
    for detail in error.errors(include_url=False):
        place = tuple(part for part in detail["loc"] if not _is_union_tag(part))
        pattern = _SENTENCES.get(detail["type"])
        sentence = pattern.format(**detail.get("ctx", {})) if pattern else f"is wrong: {detail['msg']}"
        by_place.setdefault(place, ([], detail["input"]))[0].append(sentence)
    return [
        f"{'.'.join([label, *map(str, place)])} {' or '.join(dict.fromkeys(sentences))}. {received(value)}"
        for place, (sentences, value) in by_place.items()
    ]


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without references, so that it can be embedded in another one."""
    definitions = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return resolved(definitions[value["$ref"].rpartition("/")[2]])
            return {key: resolved(item) for key, item in value.items()}
        return [resolved(item) for item in value] if isinstance(value, list) else value

    inlined: dict[str, Any] = resolved(schema)
    return inlined


def _is_union_tag(part: Any) -> bool:
    return isinstance(part, str) and (
        part in {"int", "float", "str", "bool", "none"} or "[" in part or part[:1].isupper()
    )


def _describe_schema(schema: Mapping[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return " or ".join(repr(value) for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return " or ".join(_describe_schema(option) for option in schema["anyOf"])
    if schema.get("type") == "object":
        properties = schema.get("properties") or {}
        return "{" + ", ".join(properties) + "}" if properties else "object"
    if schema.get("type") == "array":
        return f"list of {_describe_schema(schema['items'])}" if isinstance(schema.get("items"), dict) else "list"
    bounds = [
        f"{sign} {schema[key]:g}"
        for key, sign in (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))
        if key in schema
    ]
    name = {"integer": "int", "number": "float", "string": "text", "boolean": "bool", "null": "null"}
    return " ".join([name.get(str(schema.get("type")), "any"), " and ".join(bounds)]).strip()
