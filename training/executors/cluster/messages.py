"""What a driver and its agents tell each other, as plain JSON.

driver -> agent   {"run": number, "folder": …, "launch": …}   {"kill": number}   {"leave": kill them?}
agent -> driver   {"hello": …}   {"running": number, "place": …}   {"ended": number, "how": …}
{"said": text}   {"leaving": why}   {"left": why}
"""

import platform
import socket
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from text_recognizer import __version__
from training.devices.requests import DeviceRequest
from training.executors.base import Ended, Setting
from training.runs.causes import known_cause
from training.runs.environment import DECISIVE_PACKAGES, checkouts, package_versions

Message = dict[str, Any]


def versions() -> dict[str, Any]:
    """What must be the same on every node, or the trials of a sweep could not be compared."""
    packages = package_versions()
    return {
        "Python": platform.python_version(),
        "text-recognizer": __version__,
        "the code of Text Recognizer": checkouts().get("text_recognizer"),
        **{name: packages.get(name) for name in DECISIVE_PACKAGES},
    }


def hello(capacity: int, setting: Mapping[str, Any]) -> Message:
    """The first message of an agent."""
    return {"host": socket.gethostname(), "capacity": capacity, "versions": versions(), "setting": setting}


def difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str | None:
    """What a node has in another version than the driver, for people."""
    different = [name for name in ours if theirs.get(name) != ours[name]]
    if not different:
        return None
    name = different[0]
    if isinstance(ours[name], dict) or isinstance(theirs.get(name), dict):
        return f"{name} is not the driver's"
    return f"{name} is {theirs.get(name) or 'not installed'} there and {ours[name] or 'not installed'} here"


def setting_to_json(setting: Setting) -> dict[str, Any]:
    """A setting for an agent; what concerns the driver alone is left out."""
    value = asdict(setting)
    del value["folder"]
    return value


def setting_from_json(value: Mapping[str, Any]) -> Setting:
    request = dict(value["request"])
    wanted = request.pop("wanted")
    return Setting(**{**value, "request": DeviceRequest(**request, wanted=None if wanted is None else tuple(wanted))})


def ended_from_json(value: Mapping[str, Any]) -> Ended:
    return Ended(**{**value, "cause": known_cause(value.get("cause"))})
