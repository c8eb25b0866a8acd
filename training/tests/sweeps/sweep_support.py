"""Sweeps without TensorFlow: runs that write what a function of their spec says, in this process."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError
from text_recognizer.spec import ExperimentSpec
from training.attempts.causes import cause_in
from training.executors.base import Ended, Executor, Job, Setting
from training.runs.causes import Cause
from training.runs.contents import snapshot_of
from training.runs.run import Run
from training.sweeps.file.schema import problems
from training.sweeps.folder import SweepFolder
from training.sweeps.limits import Limits, SweepEnd
from training.sweeps.plan_file import read_plan
from training.sweeps.search.base import make_search
from training.sweeps.sweep import Sweep
from training.sweeps.trials import Trial

# What a made-up run reports, one value of val_loss an epoch; or the error it fails with.
Story = Callable[[ExperimentSpec, int], "Iterator[float] | str"]

SPACE = """
method: {method}
metric: {{name: val_loss, goal: minimize}}
parameters:
  dataset: {{value: DigitsDataset}}
  model: {{value: CharacterModel}}
  network: {{value: mlp}}
  network_args.layer_size: {{values: [8, 16, 32]}}
  network_args.num_layers: {{values: [1, 2]}}
"""


class MadeUpExecutor(Executor):
    """Each job is a thread that writes a run folder as a run would.

    Args:
        story: gets the spec and how often the run was started before.
        pause_s: between two reports.
    """

    def __init__(self, story: Story, capacity: int = 2, pause_s: float = 0.0) -> None:
        self.capacity = capacity
        self.started: list[str] = []
        self._story = story
        self._pause_s = pause_s
        self._threads: list[threading.Thread] = []

    @classmethod
    def open(cls, setting: Setting) -> "MadeUpExecutor":
        raise NotImplementedError

    def submit(self, run: Run, **launch: Any) -> Job:
        self.started.append(run.id)
        run.clear_stop_request()
        run.write_json("launch.json", {"attempts": [*run.attempts(), launch]})
        job = Job(run, lambda job, kill, reason, cause: run.request_stop(reason, cause))
        job.state = "running"
        attempt = self.started.count(run.id) - 1
        thread = threading.Thread(target=self._live, args=(job, Run.open(run.folder), attempt))
        self._threads.append(thread)
        thread.start()
        return job

    def drive(self, loop: Callable[[], Any]) -> Any:
        return loop()

    def kill(self) -> None: ...

    def close(self) -> None:
        for thread in self._threads:
            thread.join()

    def _live(self, job: Job, run: Run, attempt: int) -> None:
        try:
            run.hold()
        except RunError as error:
            job.end(Ended(2, str(error)))
            return
        run.set_state("running")
        story = self._story(run.spec, attempt)
        if isinstance(story, str):
            run.set_state("failed", story, cause_in(story) or Cause.CRASHED)
            run.release()
            job.end(Ended(_exit_code(story), story, out_of_memory=story.startswith("OutOfMemory")))
            return
        done = len(run.rows())
        values = []
        for epoch, value in enumerate(story, start=1):
            values.append(value)
            if epoch > done:
                run.log({"epoch": epoch, "val_loss": value})
            time.sleep(self._pause_s)
            if epoch == run.attempts()[-1].get("pause_after"):
                keep_snapshot(run, epoch, value)
                run.set_state("stopped", f"paused after epoch {epoch}", Cause.PAUSED, epoch=epoch)
                break
            request = run.stop_requested()
            if request is not None:
                run.set_state("stopped", request.reason, request.cause, epoch=epoch)
                break
        else:
            run.set_state("finished", summary={"val_loss": min(values), "test_accuracy": 0.5}, epoch=len(values))
        run.release()
        job.end(Ended(0, "finished"))


def _exit_code(error: str) -> int:
    return {"SpecError": 2, "DivergedError": 3, "OutOfMemoryError": 12}.get(error.partition(":")[0], 1)


def keep_snapshot(run: Run, epoch: int, value: float) -> None:
    """A bundle with an empty file of weights, whose spec other runs may begin with."""
    folder = snapshot_of(run.folder, epoch)
    if folder.exists():
        return
    unfinished = folder.with_name(f".{folder.name}.new")
    unfinished.mkdir(parents=True, exist_ok=True)
    facts = {"run_id": run.id, "spec": run.spec.to_json(), "dataset_fingerprint": "", "weights_sha256": ""}
    shape = {"input_shape": [8, 8, 1], "classes": ["0"]}
    metrics = {"val_loss": value}
    (unfinished / "bundle.json").write_text(json.dumps({"format": 1, **facts, "data_spec": shape, "metrics": metrics}))
    (unfinished / "model.weights.h5").touch()
    unfinished.rename(folder)


class Recorder:
    """Keeps what a sweep wants to show."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def update(self, sweep: Sweep) -> None: ...

    def event(self, text: str) -> None:
        self.events.append(text)


def sweep_of(
    text: str, root: Path, executor: MadeUpExecutor, limits: Limits | None = None, **options: Any
) -> tuple[Sweep, Recorder]:
    """A sweep of a YAML (or JSON) text in a runs folder, ready to run."""
    file = root / ("experiments.json" if text.lstrip().startswith("{") else "sweep.yaml")
    root.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    plan = read_plan(file, **options)
    folder = SweepFolder.of(plan, root)
    folder.create_or_check(plan)
    recorder = Recorder()
    search = make_search(plan)
    return Sweep(plan, search, executor, folder, limits or Limits(retries=1), recorder), recorder


def run_sweep(text: str, root: Path, story: Story, **options: Any) -> tuple[Sweep, SweepEnd]:
    sweep, _ = sweep_of(text, root, MadeUpExecutor(story), **options)
    return sweep, sweep.run()


def begin_trial(sweep: Sweep) -> Trial:
    """The next trial of a sweep that is held, as if its driver died just after."""
    suggestion = sweep._suggest()
    assert suggestion is not None
    trial = sweep.ledger.begin(suggestion)
    sweep.ledger.start([(trial, run) for run in trial.runs])
    return trial


def by_layer_size(spec: ExperimentSpec, attempt: int) -> Iterator[float]:
    """Three epochs; the larger the network, the lower its loss."""
    size, layers = spec.network_args["layer_size"], spec.network_args.get("num_layers", 1)
    return iter([5.0 / size + 0.1 * layers + 1 / epoch for epoch in (1, 2, 3)])


def journal(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def violations(config: Any) -> list[str]:
    """W&B's verdict on a configuration: one sentence a violation, none where its schema accepts it."""
    return [problem.sentence for problem in problems(config) if not problem.beyond_schema]
