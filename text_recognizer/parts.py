"""The parts of a spec: the class that each name stands for, its arguments checked, and the object made."""

from typing import Any

from text_recognizer.arguments import check_arguments
from text_recognizer.errors import Problem, SpecError, TextRecognizerError
from text_recognizer.registry import GIVEN, resolve
from text_recognizer.spec import ExperimentSpec


def check_part(kind: str, spec: ExperimentSpec, problems: list[str]) -> tuple[Any, dict[str, Any]]:
    """The class that a spec names and its arguments with defaults; None when anything is wrong, said in `problems`."""
    name = getattr(spec, kind)
    try:
        target = resolve(kind, name, spec.origin)
    except SpecError as error:
        problems += [Problem(problem, kind) for problem in error.problems]
        return None, {}
    arguments, found = check_arguments(
        f"{kind} '{name}'", target, getattr(spec, f"{kind}_args"), apart_from=GIVEN[kind], key=f"{kind}_args"
    )
    problems += found
    return (None if found else target), arguments


def construct(label: str, key: str, problems: list[str], target: Any, **arguments: Any) -> Any:
    """What a checked class or recipe makes of its arguments; None when it refuses them, said in `problems`."""
    if target is None:
        return None
    try:
        return target(**arguments)
    except TextRecognizerError as error:
        found = error.problems if isinstance(error, SpecError) else [Problem(str(error))]
        problems += [problem.under(label, key) for problem in found]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's constructor may refuse its arguments in any way
        problems.append(Problem(f"{label}: {type(error).__name__}: {error}", key))
    return None
