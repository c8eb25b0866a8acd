"""Which precision a run trains in, on processors that its /proc/cpuinfo makes up."""

import gc
import json
import signal
import subprocess
import sys

import pytest

from text_recognizer.keras_import import importing_keras
from training.attempts import epochs, tensorflow_setup
from training.attempts.checkpoint import read_checkpoint
from training.attempts.tensorflow_setup import choose_precision
from training.run_experiment import main
from training.runs.find import find_run
from training.tests.attempts.test_epochs import Clock
from training.tests.commands.test_run_experiment import SMALL, final_weights

WARNING = "'bfloat16' is slower than float32 on a processor without AMX; float32 is used instead"


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """Has the flags that it is called with."""

    def has(flags):
        (tmp_path / "cpuinfo").write_text(f"model name\t: One\nflags\t\t: fpu sse2 {flags}\nbugs\t\t: amx_bf16\n")
        monkeypatch.setattr(tensorflow_setup, "_CPU_INFO", tmp_path / "cpuinfo")

    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    return has


@pytest.mark.parametrize(
    ("asked", "flags", "chosen", "is_warned"),
    [
        ("auto", "amx_bf16 amx_tile", "off", False),
        ("auto", "avx512f avx512_bf16", "off", False),
        ("bfloat16", "amx_bf16 amx_tile", "bfloat16", False),
        ("bfloat16", "avx512f avx512_bf16", "off", True),
        ("off", "amx_bf16 amx_tile", "off", False),
    ],
)
def test_bfloat16_is_used_on_a_processor_only_where_it_is_asked_for_and_there_is_amx(
    asked, flags, chosen, is_warned, processor
):
    processor(flags)
    found, warning = choose_precision(asked)
    assert (found, warning is not None) == (chosen, is_warned)
    assert not is_warned or WARNING in str(warning)


def test_a_processor_that_does_not_say_what_it_can_do_trains_in_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorflow_setup, "_CPU_INFO", tmp_path / "nowhere")
    assert choose_precision("auto") == ("off", None)


@pytest.mark.parametrize(("capability", "chosen"), [((7, 5), "off"), ((8, 0), "bfloat16"), ((12, 0), "bfloat16")])
def test_a_gpu_counts_by_what_it_can_compute_and_the_processor_no_more(capability, chosen, processor, monkeypatch):
    import tensorflow as tf

    processor("amx_bf16")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["one"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: {"compute_capability": capability})
    assert choose_precision("auto") == (chosen, None)
    assert choose_precision("float16") == ("float16", None)


def test_a_training_begun_before_there_was_auto_stays_in_float32(processor):
    processor("amx_bf16 amx_tile")
    assert choose_precision("auto", "auto") == ("off", None)


def test_bfloat16_asked_for_where_it_is_slow_is_warned_of_and_trains_as_off_does(processor, capfd):
    processor("avx512f")
    weights = []
    for asked in ("bfloat16", "off"):
        assert main([json.dumps(SMALL), "--nowandb", "--gpu=none", f"--train_args.mixed_precision={asked}"]) == 0
        weights.append(final_weights(find_run("last")).tobytes())
    assert capfd.readouterr().out.count(f"warning     train_args.mixed_precision {WARNING}") == 1
    assert weights[0] == weights[1]
    assert find_run("last").read_json("status.json")["mixed_precision"] == "off"


def test_a_run_ends_in_the_precision_that_it_began_with_wherever_it_is_resumed(processor, monkeypatch, capfd):
    bfloat16 = "--train_args.mixed_precision=bfloat16"
    start = [json.dumps(SMALL), "--nowandb", "--gpu=none", "--train_args.checkpoint_interval_s=0", bfloat16]
    processor("amx_bf16")
    assert main(start) == 0
    undisturbed = find_run("last")
    with monkeypatch.context() as interrupted:
        interrupted.setattr(epochs, "time", Clock(interrupt_at=4))
        assert main([*start, "--seed=0"]) == 128 + signal.SIGINT
    run = find_run("last")
    assert run.id != undisturbed.id
    assert read_checkpoint(run.folder / "checkpoints" / "last.npz")[1]["mixed_precision"] == "bfloat16"
    processor("avx512f")
    assert main(["--resume", run.id, "--nowandb", "--gpu=none"]) == 0
    assert final_weights(run).tobytes() == final_weights(undisturbed).tobytes()
    assert run.read_json("status.json")["mixed_precision"] == "bfloat16"
    assert "slower" not in capfd.readouterr().out


def test_a_run_of_before_there_was_auto_is_a_run_of_a_spec_that_says_nothing(processor, capfd):
    processor("amx_bf16")
    start = [json.dumps(SMALL), "--nowandb", "--gpu=none"]
    assert main([*start, "--train_args.mixed_precision=off"]) == 0
    assert main(["--resume", "last", *start]) == 0
    assert "is finished already" in capfd.readouterr().out
    assert main(["--resume", "last", *start, "--train_args.mixed_precision=bfloat16"]) == 2
    assert 'train_args.mixed_precision is "bfloat16", the run has "off"' in capfd.readouterr().err


def test_a_model_trained_in_bfloat16_is_promoted_and_exported_in_float32_by_the_process_that_trained_it(
    processor, tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv("TEXT_RECOGNIZER_MODELS", str(tmp_path / "models"))
    processor("amx_bf16")
    start = [json.dumps(SMALL), "--nowandb", "--gpu=none", "--train_args.mixed_precision=bfloat16", "--save"]
    assert main(start) == 0, capfd.readouterr().err
    assert list((tmp_path / "models" / "bundles").glob("*/model.onnx"))


def test_no_garbage_is_looked_for_while_keras_is_imported():
    with importing_keras():
        assert not gc.isenabled()
        made: list[list[int]] = [[] for _ in range(100_000)]  # more than any threshold
    assert gc.isenabled()
    assert any(one is made for one in gc.get_objects(generation=2))


def test_a_process_ends_without_a_look_at_all_that_it_imported():
    code = """
import text_recognizer.keras_import
class Circle:
    def __init__(self): self.itself = self
    def __del__(self): print("found")
circle = Circle()
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == ""
