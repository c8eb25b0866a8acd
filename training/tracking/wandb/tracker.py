"""WandbTracker: a run in Weights & Biases, offline or online. The only tracker file that imports wandb."""

import math
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from text_recognizer.datasets.base import Dataset
from text_recognizer.errors import SpecError
from text_recognizer.experiment import assemble
from text_recognizer.models.metric import Metric
from training.runs.run import Run
from training.runs.sent import note_sent, read_sent
from training.tracking.base import Facts, Tracker
from training.tracking.wandb.sweep_link import SweepLink, merged, swept_values

if TYPE_CHECKING:
    import wandb

DEFAULT_PROJECT = "text-recognizer"
# Keys of environment.json; W&B lists the packages itself, in requirements.txt.
IN_CONFIG = ("text_recognizer", "code", "python", "devices", "dataset_fingerprint")
NOT_METRICS = ("epoch", "step", "time")
# Exit codes of a run at W&B by the state of the run folder, as in shells for signals.
EXIT_CODES = {"finished": 0, "stopped": 0, "preempted": 143}
STOPPED_THERE = "stopped from W&B"


class WandbTracker(Tracker):
    """One W&B run for one run folder, with the same id.

    Offline, the W&B files are always rewritten from the run folder, so that nothing lost by a killed process is
    missing; online, a resumed run continues after the server's last step.

    Args:
        mode: send, or keep the files for later.
        start_timeout_s: how long W&B may take to accept the run.
    """

    def __init__(self, mode: Literal["online", "offline"] = "offline", start_timeout_s: float = 120) -> None:
        self._mode = mode
        self._start_timeout_s = start_timeout_s
        self._best: float | None = None
        self._when: dict[str, Any] = {}

    def start(self, run: Run) -> None:
        # Otherwise W&B writes its local file every 15 s; a mirror that dies should lose little.
        os.environ.setdefault("WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL", "1")
        # Images of tables are stored here until they are sent, not in the user's home folder.
        os.environ["WANDB_DATA_DIR"] = str((run.folder / "wandb" / "data").resolve())
        import wandb

        self._run = run
        spec = run.spec
        monitor = spec.train_args.get("monitor", "val_loss")
        self._monitor = Metric(monitor, monitor in run.read_json("status.json").get("larger_is_better", ()))
        environment = run.read_json("environment.json")
        launch = run.read_json("launch.json")["attempts"][-1]
        if self._mode == "offline":
            for folder in (run.folder / "wandb").glob("offline-run-*"):
                if not any(folder.glob("*.synced")):
                    shutil.rmtree(folder)
        sys.argv = list(launch["command"])  # so that W&B shows the command of the run, not of its mirror
        project, entity = self._choose_place(run)
        settings = wandb.Settings(
            program=Path(launch["command"][0]).name,
            silent=True,
            console="off",
            host=environment["host"],
            x_stats_pid=launch["process"],
            x_stats_track_process_tree=True,
            x_disable_stats=run.status().state != "running",  # its process has exited, its id may be reused
            disable_git=True,  # environment.json knows the code's version; this process does not
            init_timeout=self._start_timeout_s,
            # The stop button would interrupt this process, which must not stop before the run.
            stop_fn=lambda: run.request_stop(STOPPED_THERE),
        )
        config = {**spec.to_json(), "environment": {name: environment[name] for name in IN_CONFIG}}
        self._wandb = wandb.init(
            project=project,
            entity=entity,
            id=run.id,
            name=run.id,
            group=spec.experiment_group,
            job_type="train",
            tags=[part[:64] for part in (spec.dataset, spec.model, spec.network)],
            config=merged(config, swept_values(run)),
            mode=self._mode,
            dir=str(run.folder),
            resume="allow" if self._mode == "online" else None,
            settings=settings,
        )
        self._wandb.define_metric("epoch", hidden=True)
        self._wandb.define_metric("*", step_metric="epoch", summary="none")
        self._use_dataset(run, environment)

    def log(self, epoch: int, row: Mapping[str, Any]) -> None:
        row = {name: math.nan if value is None else value for name, value in row.items()}
        # The test metrics are a separate report after the last epoch.
        step = epoch + any(name.startswith("test_") for name in row)
        self._when = {"_timestamp": row["time"]} if "time" in row else {}
        is_new = step >= self._wandb.starting_step
        if is_new:
            sent = {"_timestamp" if name == "time" else name: value for name, value in row.items()}
            self._wandb.log(sent, step=step)
        monitored = row.get(self._monitor.name)
        if monitored is not None and self._monitor.improves(monitored, self._best):
            self._best = monitored
            if is_new:
                self._wandb.summary.update({name: value for name, value in row.items() if name not in NOT_METRICS})

    def log_examples(self, epoch: int, rows: Sequence[Mapping[str, Any]]) -> None:
        import wandb

        if epoch >= self._wandb.starting_step:
            captions = [f"{row['predicted']}: {row['confidence']:.3f} (is {row['label']})" for row in rows]
            images = [wandb.Image(row["image"], caption=said) for row, said in zip(rows, captions, strict=True)]
            self._wandb.log({"examples": images} | self._when, step=epoch)  # else the step would have the current time

    def log_predictions(self, epoch: int, rows: Sequence[Mapping[str, Any]]) -> None:
        import wandb

        if epoch + 1 < self._wandb.starting_step:
            return
        columns = ["image", *(name for name in rows[0] if name != "image")]
        table = wandb.Table(columns=columns)
        for row in rows:
            table.add_data(wandb.Image(row["image"]), *(row[name] for name in columns[1:]))
        self._wandb.log({"test_predictions": table}, step=epoch + 1)

    def finish(self, state: str, summary: Mapping[str, float]) -> Facts:
        self._wandb.summary.update({**summary, "status": state})
        bundle = self._run.folder / "model"
        if bundle.exists():
            import wandb

            artifact = wandb.Artifact(name=f"model-{self._wandb.id}", type="model", metadata=dict(summary))
            artifact.add_dir(str(bundle), policy="immutable")  # no copy: a finished bundle does not change
            self._wandb.log_artifact(artifact, aliases=["best"])
        if state == "preempted":
            self._wandb.mark_preempting()
        facts = Facts(folder=str(Path(self._wandb.dir).parent), url=self._wandb.url)
        place = {"project": self._wandb.project, "entity": self._wandb.entity, "url": self._wandb.url}
        self._wandb.finish(exit_code=EXIT_CODES.get(state, 1))
        if self._mode == "online":
            note_sent(self._run, place)
        return facts

    def _choose_place(self, run: Run) -> tuple[str, str | None]:
        """Project and entity: from the run's sweep, where the run already is, the environment, or the sweep's file.

        The variables in which an agent passes a run's name are removed: W&B would prefer them to arguments.
        """
        for name in ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):
            os.environ.pop(name, None)
        link = SweepLink.read(run)
        asked = {"project": os.environ.get("WANDB_PROJECT"), "entity": os.environ.get("WANDB_ENTITY")}
        places = [asdict(link) if link is not None else {}, read_sent(run.folder), asked, _place_in_sweep_file(run)]
        project, entity = (next((place[key] for place in places if place.get(key)), None) for key in asked)
        if link is not None:
            names = {"SWEEP_ID": link.id, "RUN_ID": run.id, "PROJECT": project, "ENTITY": entity}
            os.environ |= {f"WANDB_{name}": value for name, value in names.items() if value}
        return project or DEFAULT_PROJECT, entity

    def _use_dataset(self, run: Run, environment: Mapping[str, Any]) -> None:
        import wandb

        spec = run.spec
        dataset = assemble(spec, has_begun=True).dataset
        artifact = wandb.Artifact(
            name=spec.dataset.rpartition(":")[2],
            type="dataset",
            metadata={"fingerprint": environment["dataset_fingerprint"], "sizes": dataset.sizes()}
            | {"dataset_args": spec.dataset_args},
        )
        refer_to(artifact, dataset)
        # use_artifact waits for the server, and fails offline; this is the record that it writes.
        self._wandb._log_artifact(artifact, aliases=[], is_user_created=True, use_after_commit=True)


def _place_in_sweep_file(run: Run) -> Mapping[str, Any]:
    """`project` and `entity` of the run's local sweep."""
    from text_recognizer.yaml_source import YamlSource

    path = run.folder.parent / "sweep.yaml"
    try:
        config = YamlSource(path.read_text(encoding="utf-8"), str(path)).data
    except (OSError, ValueError, SpecError):
        return {}
    return config if isinstance(config, Mapping) else {}


def refer_to(artifact: "wandb.Artifact", dataset: Dataset) -> None:
    """Adds a dataset's folders as references: nothing is uploaded."""
    for path in map(Path, paths := dataset.store_paths):
        name = path.name if len(paths) > 1 else None  # files of several folders have the same names
        artifact.add_reference(path.resolve().as_uri(), name=name, checksum=False)
