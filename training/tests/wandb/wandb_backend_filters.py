"""Lists of runs: the filters and orders of W&B's public interface, as far as tests need them."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from training.tests.wandb.wandb_backend_records import StoredProject, StoredRun, UnknownRequestError
from training.tests.wandb.wandb_backend_state import Store


def select(store: Store, project: StoredProject, arguments: Mapping[str, Any]) -> list[StoredRun]:
    """The runs of a project that match MongoDB-like filters, in the order asked for."""
    filters = json.loads(arguments.get("filters") or "{}")
    runs = [run for run in store.runs_of(project) if matches(run, filters)]
    order = arguments.get("order") or "+created_at"
    name = order.lstrip("+-")
    with_value = [run for run in runs if look_up(run, name) is not None]
    without = [run for run in runs if look_up(run, name) is None]
    return sorted(with_value, key=lambda run: look_up(run, name), reverse=order.startswith("-")) + without


def matches(run: StoredRun, filters: Mapping[str, Any]) -> bool:
    for name, wanted in filters.items():
        if name in _GROUPS:
            if not _GROUPS[name](matches(run, part) for part in wanted):
                return False
        elif not _value_matches(look_up(run, name), wanted):
            return False
    return True


_GROUPS: dict[str, Callable[..., bool]] = {"$and": all, "$or": any, "$nor": lambda parts: not any(parts)}


def _value_matches(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return wanted in value if isinstance(value, list) else bool(value == wanted)
    for operator, operand in wanted.items():
        if operator not in _OPERATORS:
            raise UnknownRequestError(f"the filter {operator}")
        if not _OPERATORS[operator](value, operand):
            return False
    return True


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _value_matches,
    "$ne": lambda value, operand: not _value_matches(value, operand),
    "$in": lambda value, operand: any(_value_matches(value, item) for item in operand),
    "$nin": lambda value, operand: not any(_value_matches(value, item) for item in operand),
    "$gt": lambda value, operand: value is not None and value > operand,
    "$gte": lambda value, operand: value is not None and value >= operand,
    "$lt": lambda value, operand: value is not None and value < operand,
    "$lte": lambda value, operand: value is not None and value <= operand,
    "$exists": lambda value, operand: (value is not None) == operand,
    "$regex": lambda value, operand: value is not None and re.search(operand, value) is not None,
}


def look_up(run: StoredRun, name: str) -> Any:
    """A value of a run by its name in filters and orders."""
    section, _, rest = name.partition(".")
    if section == "config" and rest:
        return _look_into(run.raw_config, rest, [rest, f"{rest}.value"])
    if section in ("summary_metrics", "summaryMetrics") and rest:
        return _look_into(run.summary, rest, [rest])
    attribute = {"name": "id", "sweep": "sweep"}.get(name, re.sub("[A-Z]", lambda m: f"_{m.group(0).lower()}", name))
    if attribute not in _FILTERABLE:
        raise UnknownRequestError(f"filtering or ordering runs by {name}")
    return getattr(run, attribute)


_FILTERABLE = ("id", "sweep", "state", "group", "job_type", "tags", "display_name", "created_at", "heartbeat_at")


def _look_into(values: Mapping[str, Any], whole: str, paths: list[str]) -> Any:
    if whole in values and not isinstance(values[whole], Mapping):
        return values[whole]  # metrics may have dots in their names
    for path in reversed(paths):
        found: Any = values
        for key in path.split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
        if found is not None:
            return found
    return None
