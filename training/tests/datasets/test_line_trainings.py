"""Trainings of lines: what a search learns, an early stop, lines that cannot be learnt."""

import json

import pytest

from text_recognizer.datasets.lines.split import LineSplit
from text_recognizer.errors import DataError
from text_recognizer.models.bundle import find_bundle
from text_recognizer.tests.datasets.line_files import save
from text_recognizer.tests.line_samples import line_picture, write_lines
from training.cli import main as text_recognizer
from training.run_experiment import main
from training.runs.run import Run
from training.tests import quick_networks
from training.tests.datasets.line_runs import evaluated, line_spec, rows_of, run

pytestmark = pytest.mark.usefixtures("unoptimised_graphs")


@pytest.fixture(scope="module", autouse=True)
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("lines")
    write_lines(root / "lines")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXT_RECOGNIZER_RUNS", str(root / "runs"))
        patch.setenv("TEXT_RECOGNIZER_DATA", str(root / "data"))
        yield root


def quick_spec(places, **changes):
    """Where the network does not matter, it is one that is compiled in a moment."""
    frames = f"{quick_networks.__name__}:QuickFrames"
    return line_spec(places / "lines" / "lines.tsv", **{"network": frames, "network_args": {}} | changes)


def test_what_a_search_has_learnt_is_saved_with_the_bundle(places, capfd):
    spec = quick_spec(places, model_args={"decoding": "beam", "beam_width": 4, "language_model": 3, "lexicon": True})
    made = run(spec, "--train_args.epochs=1")
    names = {path.name for path in (made.folder / "model").iterdir()}
    assert names == {"bundle.json", "model.weights.h5", "decoding.json", "language_model.npz", "lexicon.txt"} | {
        "calibration.json"
    }
    assert text_recognizer(["evaluate", str(made.folder), "--json"]) == 0
    again = json.loads(capfd.readouterr().out.partition("{")[2].join(["{", ""]))
    assert again["metrics"] == json.loads((made.folder / "evaluation.json").read_text())["metrics"]
    (made.folder / "model" / "language_model.npz").unlink()
    with pytest.raises(DataError, match="language_model.npz is missing"):
        find_bundle(made.folder).load()


def test_the_language_is_learnt_from_any_text_and_one_that_is_missing_is_said_before_there_is_a_run(places, capfd):
    args = {"decoding": "beam", "beam_width": 4, "lexicon": True, "language_model_texts": str(places / "words.txt")}
    spec = quick_spec(places, model_args=args)
    before = set(places.glob("runs/*/*"))
    assert main([json.dumps(spec), "--nowandb", "--gpu=none"]) == 2
    assert f"cannot learn from the text '{places / 'words.txt'}': No such file" in capfd.readouterr().err
    endless = quick_spec(places, model_args={**args, "language_model_texts": "/dev/zero"})
    assert main([json.dumps(endless), "--nowandb", "--gpu=none"]) == 2
    assert set(places.glob("runs/*/*")) == before
    assert "cannot learn from the text '/dev/zero': it is not a plain file" in capfd.readouterr().err
    (places / "words.txt").write_text("cab abc\nbaca\n")
    made = run(spec, "--train_args.epochs=1")
    assert (made.folder / "model" / "lexicon.txt").read_text() == "abc\nbaca\ncab\n"
    (places / "words.txt").unlink()
    assert evaluated(capfd, str(made.folder))["metrics"] == evaluated(capfd, str(made.folder))["metrics"]
    assert evaluated(capfd, str(made.folder), "--decoding", "greedy")["split"] == "test"
    idle = {"language_model_texts": "words.txt"}
    run(quick_spec(places, model_args=idle), code=2)
    assert "language_model_texts is for model_args.language_model and lexicon" in capfd.readouterr().err


def test_a_stopped_run_of_lines_ends_as_one_that_never_stopped(places, monkeypatch):
    """Stopped after a step in the middle of an epoch; dropout, augmentation and bucketed batches go on as they were."""
    spec = quick_spec(places, network_args={"dropout_amount": 0.2})
    spec["train_args"] = {
        "batch_size": 5,
        "epochs": 3,
        "steps_per_epoch": 4,
        "augmentation": "line_elastic",
        "checkpoint_interval_s": 0,
    }
    straight = run(spec)

    from training.attempts import fit
    from training.attempts.stopping import Stop
    from training.runs.causes import Cause

    steps = iter(range(100))
    with monkeypatch.context() as patch:
        original = fit.Training.__init__

        def stopping(self, *given):
            *others, stop_asked, peers = given

            def stop_later():
                return Stop("stopped", "for the test", 3, Cause.ASKED) if next(steps) == 5 else stop_asked()

            original(self, *[*others, stop_later, peers])

        patch.setattr(fit.Training, "__init__", stopping)
        halted = run(spec, code=3)
    assert len(halted.rows()) == 1
    assert main(["--resume", str(halted.folder), "--nowandb", "--gpu=none"]) == 0
    timing = {"images_per_s", "input_wait", "time"}
    rows = [[{k: v for k, v in row.items() if k not in timing} for row in one.rows()] for one in (straight, halted)]
    assert rows[0] == rows[1]
    assert rows_of(straight) == rows_of(halted)


def test_what_is_wrong_with_lines_is_said_before_they_are_learnt(places, tmp_path, capfd):
    path = write_lines(tmp_path / "lines", count=40)
    table = path.read_text().splitlines()
    # 48 pixels become 26 at a height of 20: 6 or 7 frames, for 16 characters.
    save(tmp_path / "lines" / "squeezed.png", line_picture("abc"))
    path.write_text("\n".join([*table, "squeezed.png\tabcabcabcabcabca\tw1"]) + "\n")
    spec = line_spec(path)
    spec["dataset_args"] |= {"validation_fraction": 0.1, "test_fraction": 0.1}
    spec["dataset_args"] |= {"source_ink": "light", "preprocessing": [], "max_width": 50}
    made = run(spec, "--train_args.epochs=1", "--train_args.steps_per_epoch=1")
    assert "squeezed.png" in _ids_of_training_lines(made)
    said = capfd.readouterr().out
    assert "1 line of 31 cannot be learnt and is left out: more characters than the network has frames for" in said
    assert "('squeezed.png')" in said
    assert "lines of 31 of the train split are made smaller to 50 pixels of width" in said
    assert "ink is set to light, but most of each line is light: is it inverted?" in said
    assert (made.folder / "left_out.tsv").read_text() == "split\tname\ttext\ntrain\tsqueezed.png\tabcabcabcabcabca\n"


def _ids_of_training_lines(run: Run) -> list[str]:
    from text_recognizer.experiment import assemble

    dataset = assemble(run.spec).dataset
    dataset.prepare()
    split = dataset.split("train")
    assert isinstance(split, LineSplit)
    return split.ids


def test_a_network_without_enough_frames_for_any_line_is_refused(places, capfd):
    spec = line_spec(
        places / "lines" / "lines.tsv",
        network="line_lstm_ctc",
        network_args={"window_width": 30, "window_stride": 60},
    )
    assert main([json.dumps(spec), "--nowandb", "--gpu=none"]) != 0
    assert "no line of the training split can be learnt" in capfd.readouterr().err


def test_a_line_is_read_at_a_fixed_number_of_positions(places, tmp_path):
    spec = {
        "dataset": "RenderedLinesDataset",
        "dataset_args": {"texts": str(tmp_path / "texts.txt"), "height": 16, "width": 120, "max_length": 12},
        "model": "LineModel",
        "network": "line_cnn_all_conv",
        "network_args": {"window_width": 10, "window_stride": 10},
        "train_args": {"batch_size": 8, "epochs": 1, "augmentation": "line_affine"},
    }
    (tmp_path / "texts.txt").write_text("".join(f"w{index} x{index}\n" for index in range(40)))
    made = run(spec)
    assert set(made.rows()[0]) >= {"position_accuracy", "val_character_error_rate"}
    assert all(len(row["predicted"]) <= 12 for row in rows_of(made))
