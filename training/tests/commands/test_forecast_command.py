"""text-recognizer forecast, on runs and on what is typed."""

import json

import pytest

from training.cli import main


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Finished runs with 4, 16 and 64 training lines, which halve the rate each time, and one of before."""
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    for name, samples, rate in (("few", 4, 0.4), ("more", 16, 0.2), ("most", 64, 0.1), ("old", None, 0.3)):
        folder = tmp_path / "lines" / name
        folder.mkdir(parents=True)
        status = {
            "state": "finished",
            "epoch": 1,
            "epochs": 1,
            "times": {},
            "summary": {"test_character_error_rate": rate},
        }
        (folder / "status.json").write_text(json.dumps(status))
        if samples:
            (folder / "environment.json").write_text(json.dumps({"samples": {"train": samples}}))


def test_runs_say_what_a_wanted_rate_needs(runs, capsys):
    assert main(["forecast", "most", "few", "more", "--wanted", "0.05"]) == 0
    told = capsys.readouterr().out
    assert "wanted      0.05 needs 260 samples (95 % interval 260 to 260)" in told
    assert "more        190 than the 64 of the largest run" in told
    assert main(["forecast", "4=0.4", "16=0.2", "most", "--wanted", "0.05", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["samples"], found["more"], found["exponent"]) == (256, 192, pytest.approx(0.5))


def test_what_is_no_point_is_named(runs, capsys):
    for points, wanted, words in (
        (["few", "more", "old"], "0.1", "run old did not record how many samples it had. Give SAMPLES=0.3000 instead."),
        (
            ["few", "16=-1"],
            "0.1",
            "a point must be a run, or SAMPLES=RATE with both above 0, like 64=0.31. Received: '16=-1'",
        ),
        (["few", f"{10**400}=0.1"], "0.1", "a point must be a run"),
        (["few", "x=0.1"], "0.1", "Received: 'x=0.1'"),
        (["few", "more"], "0.1", "at least 3 runs"),
        (["few", "more", "most"], "10", "--wanted: a number from 0.0001 to 1 is expected. Received: '10'"),
        (["few", "more", "most", "--metric", "test_loss"], "0.1", "run few has no test_loss"),
    ):
        assert main(["forecast", *points, "--wanted", wanted]) == 2
        assert words in capsys.readouterr().err
