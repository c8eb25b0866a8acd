"""The parts of a spec: resolves names, checks arguments and makes the objects."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from text_recognizer.arguments import check_arguments
from text_recognizer.errors import Problem, SpecError, TextRecognizerError
from text_recognizer.registry import GIVEN, resolve


def make_part(
    kind: str,
    name: str,
    arguments: Mapping[str, Any],
    problems: list[str],
    origin: str | None = None,
    group: str = "",
    given: Mapping[str, Any] | None = MappingProxyType({}),
) -> tuple[Any, dict[str, Any]]:
    """Checks a part of a spec and makes it.

    Args:
        problems: list to which problems are added.
        origin: the bundle or run folder that the spec came from; see `resolve`.
        group: key of the spec that contains the part, with a trailing dot.
        given: arguments that the program passes to the constructor; None if they are not known: only check.
    Returns:
        the object, None if it was not made; its arguments with defaults.
    """
    label, key = f"{group}{kind} '{name}'", f"{group}{kind}_args"
    try:
        target = resolve(kind, name, origin)
    except SpecError as error:
        problems += [Problem(f"{group}{kind}: {one}" if group else one, f"{group}{kind}") for one in error.problems]
        return None, {}
    if missing := ", ".join(sorted(getattr(target, "__abstractmethods__", ()))):
        problems.append(Problem(f"{label} does not define {missing}. Name a class that does.", f"{group}{kind}"))
        return None, {}
    completed, found = check_arguments(label, target, present_names(target, arguments), apart_from=GIVEN[kind], key=key)
    problems += found
    if found or given is None:
        return None, completed
    try:
        return target(**{**given, **completed}), completed
    except TextRecognizerError as error:
        refused = error.problems if isinstance(error, SpecError) else [Problem(str(error))]
        problems += [problem.under(label, key) for problem in refused]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's constructor may raise anything
        problems.append(Problem(f"{label}: {type(error).__name__}: {error}", key))
    return None, completed


def present_names(target: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a spec, with former names replaced by present ones."""
    former = getattr(target, "former_names", {})
    return {former.get(name, name): value for name, value in arguments.items()}
