"""Messages between a driver and its agents, as plain JSON.

driver -> agent   {"run": number, "folder": …, "launch": …}   {"kill": number}   {"leave": kill them?}
agent -> driver   {"hello": …}   {"running": number, "place": …}   {"ended": number, "how": …}
{"said": text}   {"unusable": why}   {"leaving": why}   {"left": why}
"""

import platform
import socket
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from pydantic import TypeAdapter

from text_recognizer import __version__
from training.executors.base import Ended, Setting
from training.runs.causes import known_cause
from training.runs.environment import checkouts, decisive_versions, package_versions

Message = dict[str, Any]


def versions() -> dict[str, Any]:
    """Versions that must be equal on every node, so that the trials of a sweep are comparable."""
    return {
        "Python": platform.python_version(),
        "text-recognizer": __version__,
        "the code of Text Recognizer": checkouts().get("text_recognizer"),
        **decisive_versions(package_versions()),
    }


def hello(job: str, capacity: int) -> Message:
    """The first message of an agent, with its name in the cluster."""
    return {"host": socket.gethostname(), "job": job, "capacity": capacity, "versions": versions()}


def difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str | None:
    """Version differences between a node and the driver, in words."""
    for name in ours:
        there, here = theirs.get(name), ours[name]
        if there != here and isinstance(here, dict):
            return f"{name} is not the driver's"
        if there != here:
            return f"{name} is {there or 'not installed'} there and {here or 'not installed'} here"
    return None


def setting_to_json(setting: Setting) -> dict[str, Any]:
    """A setting for an agent, without values that only the driver needs."""
    return asdict(replace(setting, folder=None))


def setting_from_json(value: Mapping[str, Any]) -> Setting:
    return TypeAdapter(Setting).validate_python(value)


def ended_from_json(value: Mapping[str, Any]) -> Ended:
    return Ended(**{**value, "cause": known_cause(value.get("cause"))})
