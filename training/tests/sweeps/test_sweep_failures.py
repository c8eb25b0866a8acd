"""Trials that fail, crash or diverge: what is tried again, and what ends a sweep."""

import json
import re
import shutil
from dataclasses import replace

from text_recognizer.registry import BUILT_IN
from training.api.experiments import _result_of_trials
from training.executors.base import Ended
from training.runs.causes import Cause
from training.sweeps.limits import Limits, classify
from training.sweeps.results.ending import finish_sweep
from training.sweeps.results.leaderboard import write_leaderboard
from training.sweeps.trials import TrialRun
from training.tests.sweeps.sweep_support import (
    SPACE,
    MadeUpExecutor,
    by_layer_size,
    run_sweep,
    sweep_of,
)

GRID = SPACE.format(method="grid")


def test_a_run_that_crashes_is_started_again_from_its_folder(tmp_path):
    def story(spec, attempt):
        if spec.network_args["layer_size"] == 16 and attempt == 0:
            return "RuntimeError: cosmic ray"
        return by_layer_size(spec, attempt)

    sweep, result = run_sweep(GRID, tmp_path, story)
    assert result.exit_code == 0
    assert [run.attempts for trial in sweep.trials.values() for run in trial.runs] == [1, 1, 2, 2, 1, 1]
    assert sweep.trials[3].runs[0].failures == ["crash"]


def test_a_failure_is_one_sentence_with_what_follows(tmp_path):
    sweep, recorder = sweep_of(GRID, tmp_path, MadeUpExecutor(lambda *_: "RunError: no GPU. Use --gpu=none."))
    sweep.run()
    first = next(event for event in recorder.events if "failed" in event)
    assert " failed (crash): RunError: no GPU. Use --gpu=none; it is started again from its last" in first


def test_failures_are_classified_and_retried_by_policy(tmp_path):
    errors = {8: "SpecError: no", 16: "OutOfMemoryError: too large", 32: "DivergedError: nan"}
    sweep, result = run_sweep(
        GRID,
        tmp_path,
        lambda spec, attempt: (
            errors[spec.network_args["layer_size"]]
            if spec.network_args["num_layers"] == 2
            else by_layer_size(spec, attempt)
        ),
    )
    attempts = {trial.number: trial.runs[0].attempts for trial in sweep.trials.values()}
    assert attempts == {1: 1, 2: 1, 3: 1, 4: 2, 5: 1, 6: 1}
    assert sweep.trials[2].runs[0].failures == ["spec"]
    assert sweep.trials[4].runs[0].failures == ["out of memory", "out of memory"]
    assert sweep.trials[6].error == "diverged: DivergedError: nan"
    assert result.exit_code == 1  # out of memory is a reason to look; diverging alone is a result


def test_diverging_alone_is_a_result(tmp_path):
    _, result = run_sweep(
        GRID,
        tmp_path,
        lambda spec, n: "DivergedError: nan" if spec.network_args["layer_size"] == 8 else by_layer_size(spec, n),
    )
    assert result.exit_code == 0


def test_a_sweep_goes_on_after_trials_that_diverged_and_is_no_failure_when_started_again_either(tmp_path):
    def story(spec, attempt):
        return "DivergedError: nan" if spec.network_args["layer_size"] < 32 else by_layer_size(spec, attempt)

    sweep, result = run_sweep(GRID, tmp_path, story)
    assert [trial.state for trial in sweep.trials.values()] == ["failed"] * 4 + ["finished"] * 2
    assert (result.ended, result.exit_code) == ("all trials are done", 0)
    again, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(story))
    assert again.run().exit_code == 0


def test_a_sweep_whose_trials_all_fail_ends_early_and_says_why(tmp_path):
    sweep, result = run_sweep(GRID, tmp_path, lambda *_: "SpecError: always wrong")
    assert result.failed
    assert result.exit_code == 1
    assert re.match(r"the first [34] trials all failed: spec: SpecError: always wrong", result.ended)
    assert len(sweep.trials) <= 4


def test_a_sweep_with_failed_trials_says_at_its_end_how_they_are_run_again(tmp_path, capsys):
    for _ in range(2):  # the second time nothing is left to do
        sweep, result = run_sweep(GRID, tmp_path, lambda *_: "SpecError: always wrong")
        assert finish_sweep(sweep.plan, sweep.folder, sweep.history, result) == 1
        shown = capsys.readouterr()
        number = sweep.history.counts()["failed"]
        assert f"failed      {number} trials; with --retry-failed the same command runs them again" in shown.out
        assert shown.err.splitlines()[-1] == f"error: {result.ended}"
        assert re.match(r"the first \d trials all failed|all trials are done, and none finished", result.ended)
    assert _result_of_trials(sweep.folder) == f"{result.ended}: {number} failed trials"
    assert finish_sweep(sweep.plan, sweep.folder, sweep.history, result, takes_retries=False) == 1
    assert "--retry-failed" not in capsys.readouterr().out


def test_failed_trials_are_run_again_only_when_asked_to(tmp_path):
    run_sweep(
        GRID,
        tmp_path,
        lambda spec, n: "SpecError: no" if spec.network_args["layer_size"] == 8 else by_layer_size(spec, n),
    )
    executor = MadeUpExecutor(by_layer_size)
    sweep_of(GRID, tmp_path, executor)[0].run()
    assert executor.started == []
    sweep, _ = sweep_of(GRID, tmp_path, executor, Limits(retry_failed=True))
    assert sweep.run().exit_code == 0
    assert len(executor.started) == 2


def test_a_trial_whose_run_was_deleted_keeps_its_value_and_its_place_as_the_best(tmp_path, monkeypatch):
    sweep, _ = run_sweep(GRID, tmp_path, by_layer_size)
    best = sweep.history.ranked()[0]
    value = sweep.history.value(best)
    shutil.rmtree(best.runs[0].folder)
    again, recorder = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    again.run()
    first = again.history.ranked()[0]
    assert (first.number, again.history.value(first)) == (best.number, value)
    monkeypatch.setitem(BUILT_IN, "dataset", {})  # it may be gone too
    write_leaderboard(again.plan, again.folder, again.history)
    spec = json.loads((again.folder.path / "best_spec.json").read_text())
    assert spec["network_args"] == {"layer_size": 32, "num_layers": 1}
    said = [event for event in recorder.events if event.startswith("warning")]
    assert said == [
        f"warning: the run of trial {best.number} cannot be read: {best.runs[0].folder} is not a run folder: it has "
        "no status.json."
    ]


def test_retries_asked_for_are_given_however_many_and_preemptions_have_an_end():
    many, one = Limits(retries=1000), Limits(retries=1)
    assert many.tries_again(["crash"] * 999, 999)
    assert not many.tries_again(["crash"] * 1001, 1001)
    assert one.tries_again(["preempted"] * 20, 20)
    assert not one.tries_again(["preempted"] * 21, 21)


class PreemptingExecutor(MadeUpExecutor):
    """Each job is preempted after one new epoch of 25; those of a network of 8 units after their first, each time."""

    def _live(self, job, run, attempt):
        run.hold()
        epoch = 1 if run.spec.network_args["layer_size"] == 8 else attempt + 1
        run.log({"epoch": epoch, "val_loss": 1.0 + attempt})  # sums on a GPU differ from time to time
        state, code = ("finished", 0) if epoch == 25 else ("preempted", 143)
        run.set_state(state, None if code == 0 else "received SIGTERM", None if code == 0 else Cause.PREEMPTED)
        run.release()
        job.end(Ended(code, state))


def test_a_run_may_be_preempted_however_often_if_it_gets_further_each_time(tmp_path):
    sweep, _ = sweep_of(GRID.replace("[1, 2]", "[1]"), tmp_path, PreemptingExecutor(by_layer_size))
    sweep.run()
    ends = {trial.number: (trial.state, trial.runs[0].attempts) for trial in sweep.trials.values()}
    assert ends == {1: ("failed", 22), 2: ("finished", 25), 3: ("finished", 25)}
    # The next driver knows it from the journal.
    known = {trial.number: (trial.runs[0].reports, trial.runs[0].in_vain) for trial in sweep.folder.trials().values()}
    assert known == {1: (1, 21), 2: (24, 1), 3: (24, 1)}


def test_a_run_that_is_tried_again_without_its_folder_gets_further_from_its_start(tmp_path):
    run = TrialRun(tmp_path / "lost", ended="failed", in_vain=21, reports=50)
    run.try_again()
    for epochs in (1, 2):
        run.begin()
        run.reach(epochs)
        assert run.in_vain == 0


def test_a_broken_device_is_told_from_a_broken_program():
    from training.attempts.causes import cause_of
    from training.runs.run import Status

    failed = Status("failed", {}, "KeyError: 3", {}, 1, 2)
    cause = cause_of(RuntimeError("InternalError: CUDA_ERROR_ECC_UNCORRECTABLE"))
    assert cause is Cause.BROKEN_DEVICE
    assert classify(Ended(1, "exit code 1"), replace(failed, cause=cause)) == "device"
    assert classify(Ended(1, "exit code 1", cause=cause), failed) == "device"
    assert classify(Ended(1, "exit code 1"), replace(failed, cause=cause_of(KeyError(3)))) == "crash"
    assert classify(Ended(None, "SIGKILL", signal=9), Status("died", {}, None, {}, 1, 2)) == "crash"
    assert classify(Ended(12, "memory", out_of_memory=True), Status("failed", {}, None, {}, 1, 2)) == "out of memory"
    assert classify(None, Status("died", {}, None, {}, 1, 2)) == "preempted"
    policy = Limits(retries=1)
    assert policy.tries_again(["device"] * 5, 6)
    assert policy.tries_again(["crash"], 1)
    assert not policy.tries_again(["crash", "crash"], 2)
    assert not policy.tries_again(["spec"], 1)
    assert policy.tries_again(["preempted"], 20)  # the limit holds besides the retries
    assert not policy.tries_again(["preempted"], 21)
