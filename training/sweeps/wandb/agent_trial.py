"""AgentTrial: information from W&B's agent to a program it starts, in environment variables and a file of values."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from text_recognizer.errors import SpecError, reason
from text_recognizer.spec import flatten, read_spec
from training.runs.contents import is_made
from training.runs.places import group_folder_name, runs_folder
from training.runs.run import Run
from training.tracking.wandb.sweep_link import SweepLink

VARIABLES = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")


@dataclass(frozen=True)
class AgentTrial:
    """One trial of a W&B sweep, as started by its agent; without a sweep id, W&B does not know it.

    Args:
        run_id: id of the run, here and at W&B.
        values: exact values suggested by the sweep; the command line may have lost types, or have none of them.
    """

    sweep_id: str | None
    run_id: str | None
    values: Mapping[str, Any]
    project: str | None
    entity: str | None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "AgentTrial | None":
        """None if no agent started this process. Raises SpecError: its variables or file of values are invalid."""
        sweep_id, run_id, path = (environ.get(name) or None for name in VARIABLES)
        if path is None and (sweep_id is None or run_id is None):
            return None
        if run_id is not None and not re.fullmatch(r"[\w-][\w.-]*", run_id):
            raise SpecError(f"WANDB_RUN_ID must be a name that a folder can have. Received: {run_id!r}.")
        project, entity = (environ.get(name) or None for name in ("WANDB_PROJECT", "WANDB_ENTITY"))
        return cls(sweep_id, run_id, _read_values(path) if path is not None else {}, project, entity)

    @property
    def link(self) -> SweepLink | None:
        """The sweep at W&B, for the run's folder."""
        return SweepLink(self.sweep_id, self.project, self.entity, self.values) if self.sweep_id else None

    @property
    def group(self) -> str:
        """The experiment group of the sweep's runs: its folder if it was registered from here."""
        if self.sweep_id is None:
            return "default"
        folder = self._folder_here()
        return folder.name if folder is not None else f"sweep-{self.sweep_id}"

    def without_values(self, argv: Sequence[str]) -> list[str]:
        """A command line without arguments that repeat the values: as JSON, as a JSON file, or their bare names."""
        return [word for word in argv if word not in self.values and not self._are_the_values(word)]

    def overrides(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Overrides of the spec by dotted key: those of the command line, overridden by the sweep's own values.

        A group of parameters changes only its own values, as in a sweep here.
        """
        others = {name: value for name, value in given.items() if name not in self.values}
        folder = self._folder_here()
        if folder is not None:
            from training.sweeps.file.config import SweepConfig

            return others | SweepConfig.from_file(folder / "sweep.yaml").space.values_of(self.values)
        # If the sweep's file is unknown, a mapping is assumed to be a group of parameters.
        groups = {name: value for name, value in self.values.items() if isinstance(value, dict) and "." not in name}
        plain = {name: value for name, value in self.values.items() if name not in groups}
        return {**others, **flatten(groups), **plain}

    def earlier_run(self, experiment_group: str) -> Run | None:
        """The run, if an earlier agent started it."""
        folder = runs_folder() / group_folder_name(experiment_group) / str(self.run_id)
        return Run.open(folder) if is_made(folder) else None

    def _folder_here(self) -> Path | None:
        if self.sweep_id is None or not any(runs_folder().glob("*/wandb.json")):
            return None
        from training.sweeps.wandb.registration import folder_of_registered

        name = folder_of_registered(self.sweep_id, runs_folder())
        return runs_folder() / name if name is not None else None

    def _are_the_values(self, word: str) -> bool:
        if not self.values or word.startswith("-") or ("=" in word and not word.startswith("{")):
            return False
        try:
            return read_spec(word)[0] == self.values
        except SpecError:
            return False


def _read_values(path: str) -> dict[str, Any]:
    """Reads the values from W&B's file: {wandb_version: 1, NAME: {value: VALUE}, …}."""
    from text_recognizer.yaml_source import YamlSource

    try:
        content = YamlSource(Path(path).read_text(encoding="utf-8"), path).data
        values = {name: entry["value"] for name, entry in content.items() if name != "wandb_version"}
        json.dumps(values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SpecError(f"WANDB_SWEEP_PARAM_PATH: the values in {path} cannot be read: {reason(error)}.") from None
    return values
