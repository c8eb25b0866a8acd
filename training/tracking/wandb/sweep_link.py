"""SweepLink: the W&B sweep of a run, recorded in the run folder for later mirrors."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from text_recognizer.arguments import check_value
from text_recognizer.errors import SpecError
from training.files.journals import read_journal
from training.files.json_objects import read_object_if_any
from training.runs.run import Run

LINK_FILE = "sweep.json"


@dataclass(frozen=True)
class SweepLink:
    """A sweep at W&B, with the values that it suggested for this run, as passed by W&B's agent."""

    id: str
    project: str | None = None
    entity: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, path: str, values: Mapping[str, Any] | None = None) -> "SweepLink":
        """Parses ENTITY/PROJECT/ID, PROJECT/ID or ID, as in `wandb agent`. Raises SpecError: another form."""
        parts = path.strip("/").split("/")
        if not all(parts) or len(parts) > 3:
            raise SpecError(f"a W&B sweep is named ENTITY/PROJECT/ID, PROJECT/ID or ID. Received: {path!r}.")
        entity, project, sweep_id = [None] * (3 - len(parts)) + parts
        return cls(str(sweep_id), project, entity, values or {})

    @property
    def path(self) -> str:
        return "/".join(part for part in (self.entity, self.project, self.id) if part)

    def write(self, run: Run) -> None:
        """Writes the link into the run's folder of W&B files."""
        (run.folder / "wandb").mkdir(exist_ok=True)
        run.write_json(f"wandb/{LINK_FILE}", asdict(self))

    @classmethod
    def read(cls, run: Run) -> "SweepLink | None":
        """None if the run belongs to no sweep at W&B, or its file is damaged."""
        return cls.of(read_object_if_any(run.folder / "wandb" / LINK_FILE))

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "SweepLink | None":
        """The link in the JSON of a file; None if it is damaged."""
        known = {one.name: facts[one.name] for one in fields(cls) if one.name in facts}
        link, problems = check_value(LINK_FILE, cls, known)
        return None if problems else link


def swept_values(run: Run) -> dict[str, Any]:
    """The values from a sweep, here or at W&B, under the sweep's own names; empty without a sweep.

    W&B finds out which points of a sweep are done by these names in the configurations of runs.
    """
    link = SweepLink.read(run)
    if link is not None and link.values:
        return dict(link.values)
    if not (run.folder.parent / "sweep.yaml").exists():
        return {}
    for event in read_journal(run.folder.parent / "trials.jsonl"):
        runs, point = event.get("runs"), event.get("point")
        if event.get("event") == "suggest" and isinstance(point, dict) and isinstance(runs, list) and run.id in runs:
            return point
    return {}


def merged(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Merges values into a configuration, recursively, as W&B does."""
    result = dict(base)
    for name, value in values.items():
        below = result.get(name)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[name] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result
