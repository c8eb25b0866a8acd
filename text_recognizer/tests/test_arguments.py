from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Lt

from text_recognizer.arguments import (
    arguments_of,
    check_arguments,
    check_value,
    describe_annotation,
    description_of,
    json_schema_of,
)
from text_recognizer.named_part import constructor_of
from text_recognizer.registry import GIVEN, names, resolve


class Network:
    def __init__(self, units: Annotated[int, Ge(1)] = 8, dropout: Annotated[float, Ge(0), Lt(1)] = 0.5) -> None: ...


class Needy:
    def __init__(self, path, mode: Literal["a", "b"] = "a", **extra: Any) -> None: ...


@dataclass(frozen=True)
class Inner:
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012
    patience: Annotated[int, Ge(1)] = 3


class Nested:
    def __init__(self, inner: Inner | None = None, pair: tuple[int, int] = (1, 2)) -> None: ...


def test_defaults_complete_the_values():
    assert check_arguments("network 'n'", Network, {"units": 4}) == ({"units": 4, "dropout": 0.5}, [])


def test_all_problems_are_found_at_once_with_what_came_and_what_is_allowed():
    _, problems = check_arguments("network 'n'", Network, {"unit": 4, "units": 0, "dropout": "much"})
    assert problems == [
        "network 'n' has no argument 'unit'. Did you mean 'units'? It takes: units, dropout.",
        "network 'n': units must be at least 1. Received: 0.",
        "network 'n': dropout must be a number. Received: 'much'.",
    ]


def test_a_missing_argument_is_named_and_extra_ones_pass_where_they_may():
    values, problems = check_arguments("dataset 'd'", Needy, {"mode": "c", "more": 1})
    assert values["more"] == 1
    assert problems == [
        "dataset 'd' needs the argument 'path'.",
        "dataset 'd': mode must be one of 'a' or 'b'. Received: 'c'.",
    ]


def test_values_are_typed_strictly_but_a_whole_float_is_an_int():
    assert check_value("n", int, 64.0) == (64, [])
    assert check_value("n", float, 3) == (3.0, [])
    for annotation, value in [(int, 64.5), (int, True), (int, "64"), (float, "1e-4"), (float, False), (bool, 1)]:
        assert check_value("n", annotation, value)[1], (annotation, value)


def test_nan_and_infinity_are_refused_everywhere():
    for value in (float("nan"), float("inf"), [1.0, float("-inf")], {"a": float("nan")}):
        assert check_value("x", Any if isinstance(value, dict) else float | list[float], value)[1] or isinstance(
            value, dict
        )
    assert "must not hold NaN" in check_value("x", float, float("nan"))[1][0]


def test_nested_objects_become_dataclasses_and_their_problems_have_a_path():
    values, problems = check_arguments("train_args", Nested, {"inner": {"patience": 2}, "pair": [3, 4]})
    assert problems == []
    assert values == {"inner": Inner(2), "pair": (3, 4)}
    _, problems = check_arguments("train_args", Nested, {"inner": {"patience": 0, "min": 1}})
    assert problems == [
        "train_args: inner.patience must be at least 1. Received: 0.",
        "train_args: inner.min is not a known key. Received: 1.",
    ]


def test_default_factories_are_called():
    @dataclass
    class Args:
        options: dict[str, Any] = field(default_factory=dict)

    assert arguments_of(Args)["options"].default == {}


def test_a_signature_without_annotations_accepts_any_value():
    class Untyped:
        def __init__(self, a, b=1): ...

    assert check_arguments("x", Untyped, {"a": {"any": [1]}}) == ({"a": {"any": [1]}, "b": 1}, [])


def test_a_number_that_python_cannot_write_is_refused_in_a_sentence():
    _, [problem] = check_value("seed", int, 10**5000)
    assert problem.startswith("seed must not hold NaN, infinity or a number of thousands of digits. Received: a value")


def test_annotations_are_described_in_words():
    assert describe_annotation(Annotated[int, Ge(1)]) == "int >= 1"
    assert describe_annotation(Annotated[float, Ge(0), Lt(1)] | None) == "float >= 0 and < 1 or null"
    assert describe_annotation(Literal["a", "b"]) == "'a' or 'b'"


def test_json_schema_holds_ranges_and_defaults():
    schema = json_schema_of(Network)
    assert schema["properties"]["units"] == {"type": "integer", "minimum": 1, "default": 8}
    assert schema["additionalProperties"] is False


class Base:
    """A base.

    Args:
        left, right: pixels that
            are cut off.
        depth: of the base.
    Raises:
        ValueError: never.
    """

    def __init__(self, left: int = 0, right: int = 0, depth: int = 1) -> None: ...


class Derived(Base):
    """A class.

    It says more.

    Args:
        depth: its own.

    Source: nobody.
    """


def test_what_docstrings_say_of_arguments_is_found_also_in_the_classes_that_one_extends():
    meanings = {"left": "pixels that are cut off.", "right": "pixels that are cut off.", "depth": "its own."}
    assert description_of(Derived) == ("A class.\n\nIt says more.\n\nSource: nobody.", meanings)
    assert description_of(Base) == ("A base.\n\nRaises:\n    ValueError: never.", meanings | {"depth": "of the base."})
    assert description_of(lambda: None) == ("", {})
    assert json_schema_of(Derived)["properties"]["depth"]["description"] == "its own."


@pytest.mark.parametrize("kind", ["dataset", "model", "network", "schedule", "augmentation"])
def test_every_argument_of_ours_has_a_meaning(kind):
    for name in names(kind):
        target = constructor_of(resolve(kind, name))
        assert arguments_of(target).keys() - set(GIVEN[kind]) <= description_of(target)[1].keys(), name
