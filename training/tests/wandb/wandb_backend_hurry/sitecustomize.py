"""Shortens W&B's own waiting in the processes that have this folder on PYTHONPATH; nothing else of it changes.

The agent asks for its next command every 5 s and a run asks every 15 s whether it was stopped; here both do so often.
"""

import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

POLL_S = 0.1


def _hurry_agent(module: ModuleType) -> None:
    module.Agent.POLL_INTERVAL = POLL_S


def _hurry_stop_check(module: ModuleType) -> None:
    module.RunStopChecker.__init__.__kwdefaults__["poll_interval"] = POLL_S


CHANGES: dict[str, Callable[[Any], None]] = {
    "wandb.wandb_agent": _hurry_agent,
    "wandb.sdk.lib.run_stopping": _hurry_stop_check,
}


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in CHANGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, CHANGES[fullname])
        return spec


class _Loader(Loader):
    def __init__(self, loader: Loader, change: Callable[[Any], None]) -> None:
        self._loader = loader
        self._change = change

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._change(module)


sys.meta_path.insert(0, _Finder())
