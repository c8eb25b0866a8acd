"""What command lines make of errors, encodings and readers that go away; and the log of a run."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from text_recognizer.datasets.storage.parallel import in_processes
from text_recognizer.errors import RunError, SpecError, TextRecognizerError
from text_recognizer.experiment import assemble
from text_recognizer.registry import resolve
from text_recognizer.settings import data_folder
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.waiting import PATIENCE_S
from training.attempts import attempt as attempt_module
from training.attempts import train_and_evaluate as heavy_module
from training.devices.gpu_manager import Lease
from training.runs.causes import Cause
from training.runs.run import Run
from training.terminal.command_line import ERROR_FILE, TRACEBACK, guarded

REPOSITORY = Path(__file__).resolve().parents[3]
SPEC = ExperimentSpec("DigitsDataset", "CharacterModel", "mlp")


def failing(error: BaseException) -> Any:
    def fail(*_: object, **__: object) -> int:
        raise error

    return fail


NOT_UTF8 = UnicodeDecodeError("utf-8", b"gr\xfc", 2, 3, "invalid start byte")


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (OSError(errno.EROFS, "Read-only file system", "/x/y"), "error: /x/y: Read-only file system.", 2),
        (OSError("no HDF5 file"), "error: no HDF5 file.", 1),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "error: Connection reset by peer.", 1),
        (NOT_UTF8, "error: a text is not utf-8: invalid start byte at byte 2. Save it as UTF-8.", 2),
    ],
)
def test_what_the_system_refuses_is_an_error_in_words_and_no_bug(capsys, monkeypatch, error, said, code):
    monkeypatch.delenv(TRACEBACK, raising=False)
    assert guarded(failing(error)) == code
    printed = capsys.readouterr().err
    assert printed == f"{said} ({TRACEBACK}=1 shows where in the program.)\n"
    monkeypatch.setenv(TRACEBACK, "1")
    assert guarded(failing(error)) == code
    assert "in fail" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SpecError(["no \udc80", "error: three\nlines"]), "2 problems:\n  - no \\udc80\n  - error: three\nlines"),
        (OSError("no file"), f"no file. ({TRACEBACK}=1 shows where in the program.)"),
        (KeyError("x"), "this is a bug in Text Recognizer; please report it with the lines above."),
    ],
)
def test_a_program_gets_the_message_of_the_error_that_ends_its_command(error, message, monkeypatch, tmp_path):
    def command() -> int:
        assert guarded(failing(RunError("of a trial in this process"))) == 2
        return int(failing(error)())

    monkeypatch.setenv(ERROR_FILE, str(tmp_path / "error"))
    assert guarded(command) > 0
    assert (tmp_path / "error").read_text() == message


def test_a_full_disk_is_said_with_the_folder_that_has_the_least_room(capsys, monkeypatch, tmp_path):
    for name in ("DATA", "RUNS"):
        monkeypatch.setenv(f"TEXT_RECOGNIZER_{name}", str(tmp_path / name / "later"))
        (tmp_path / name).mkdir()
    usage = SimpleNamespace(free=10**9)
    monkeypatch.setattr("shutil.disk_usage", lambda at: SimpleNamespace(free=12) if at.name == "DATA" else usage)
    assert guarded(failing(OSError(errno.ENOSPC, "No space left on device"))) == 2
    said = f"error: No space left on device (12 bytes are free in {tmp_path / 'DATA'}). Free some space and do the same"
    assert capsys.readouterr().err.startswith(said)


def test_a_library_that_meets_a_full_disk_gives_an_error_with_the_folder_of_the_run(run, monkeypatch):
    # As HDF5 says it: over several lines, and without a number.
    full = OSError("Can't close file (time = Mon\n, error message = 'No space left on device', buf = 0x5)")
    monkeypatch.setattr(heavy_module, "_run_steps", failing(full))
    with pytest.raises(RunError, match=rf"write {run.folder}: No space left on device \(.* in {run.folder}\)"):
        heavy_module.train_and_evaluate(assemble(SPEC), run, ())
    assert run.status().cause is Cause.FULL_DISK


def test_every_console_command_ends_without_a_traceback_when_it_is_interrupted_while_it_is_imported(tmp_path):
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    # What it imports first raises what Ctrl-C does.
    (tmp_path / "text_recognizer").mkdir()
    (tmp_path / "text_recognizer" / "__init__.py").write_text("raise KeyboardInterrupt")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}
    for name, (module, _, function) in ((name, text.partition(":")) for name, text in scripts.items()):
        code = f"import sys; from {module} import {function}; sys.exit({function}())"  # as a script of pip
        done = subprocess.run([sys.executable, "-c", code], env=environ, cwd=tmp_path, capture_output=True, text=True)
        assert (name, done.returncode, done.stderr) == (name, 130, "")


def test_a_bug_keeps_its_traceback(capsys):
    assert guarded(failing(ValueError("of ours"))) == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "this is a bug" in printed


@pytest.mark.parametrize(
    ("content", "encoding", "why"),
    [
        (b"ab", "utf-16", "tream does not start with BOM"),  # of a type that depends on the version of Python
        (b"gr\xfc", "utf-8", "a text is not utf-8: invalid start byte at byte 2. Save it as UTF-8."),
    ],
)
def test_a_text_that_code_of_the_user_cannot_decode_is_said_with_the_line(
    content, encoding, why, capsys, tmp_path, monkeypatch
):
    text = "import io\nfrom text_recognizer.networks import Network\n\n\nclass Net(Network):\n"
    text += "    def build(self, input_shape, output_shape):\n"
    text += f"        return io.TextIOWrapper(io.BytesIO({content!r}), {encoding!r}).read()\n"
    name = f"nets_in_{encoding.replace('-', '')}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv("TEXT_RECOGNIZER_STATE", str(tmp_path / "state"))
    monkeypatch.syspath_prepend(str(tmp_path))
    build = resolve("network", f"{name}:Net")().build
    assert guarded(lambda: build((8, 8, 1), (2,))) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: Unicode")
    assert f"Error in your own code: {tmp_path}/{name}.py, line 7, in build, or in what it calls: " in printed
    assert why in printed
    assert "Traceback" not in printed


def test_the_line_of_the_users_code_is_known_of_an_error_in_another_process(capsys, tmp_path, monkeypatch):
    text = "from text_recognizer.networks import Network\n\n\nclass Net(Network):\n    pass\n\n\n"
    text += "def decoded(content):\n    return content.decode()\n"
    (tmp_path / "decoding_nets.py").write_text(text)
    monkeypatch.setenv("TEXT_RECOGNIZER_STATE", str(tmp_path / "state"))
    monkeypatch.syspath_prepend(str(tmp_path))
    decoded = vars(sys.modules[resolve("network", "decoding_nets:Net").__module__])["decoded"]
    assert guarded(lambda: len(list(in_processes(decoded, [b"gr\xfc", b""], processes=2)))) == 2
    where = f"UnicodeDecodeError in your own code: {tmp_path}/decoding_nets.py, line 9, in decoded, or in what it calls"
    assert capsys.readouterr().err.startswith(f"error: {where}: a text is not utf-8: invalid start byte at byte 2.")


def test_a_bug_in_code_of_the_user_is_not_called_ours(capsys, tmp_path, monkeypatch):
    text = "from text_recognizer.networks import Network\n\n\nclass Net(Network):\n"
    text += "    def build(self, input_shape, output_shape):\n        return {}['layers']\n"
    (tmp_path / "careless_nets.py").write_text(text)
    monkeypatch.setenv("TEXT_RECOGNIZER_STATE", str(tmp_path / "state"))
    monkeypatch.syspath_prepend(str(tmp_path))
    build = resolve("network", "careless_nets:Net")().build
    assert guarded(lambda: build((8, 8, 1), (2,))) == 1
    printed = capsys.readouterr().err
    where = f"{tmp_path}/careless_nets.py, line 6, in build, or in what it calls: 'layers'. The traceback"
    assert f"error: KeyError in your own code: {where}" in printed
    assert "this is a bug" not in printed


@pytest.mark.parametrize(
    "environ",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
)
@pytest.mark.parametrize("module", ["training.cli", "training.run_sweep"])
def test_a_terminal_without_all_characters_gets_the_help_text(module, environ):
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=REPOSITORY, env={**usual, **environ}, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u2026" in done.stdout


@pytest.mark.parametrize("script", ["run_experiment.py", "run_sweep.py", "prepare_experiments.py"])
def test_a_script_of_the_training_folder_is_a_program(script):
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environ.pop("PYTHONPATH", None)
    done = subprocess.run([f"training/{script}", "--help"], cwd=REPOSITORY, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {script.removesuffix('.py')} ")


def test_a_script_that_is_started_without_its_packages_goes_on_in_its_environment_or_says_what_to_do(tmp_path):
    for name in ("__init__.py", "run_sweep.py", "terminal/__init__.py", "terminal/own_environment.py"):
        (tmp_path / "training" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / "training" / name, tmp_path / "training" / name)
    command = [sys.executable, "-S", "training/run_sweep.py", "a b", "--help"]  # -S: without installed packages
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "has none of the packages of this project. Run tasks/setup.sh, or activate" in done.stderr
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout.splitlines(), done.stderr) == (["training/run_sweep.py", "a b", "--help"], "")


def test_the_log_goes_on_when_nobody_reads_the_output_any_more(tmp_path):
    program = f"""
import sys
from pathlib import Path
from training.terminal.log_file import LogFile
with LogFile(Path({str(tmp_path / "log.txt")!r})):
    for number in range(2000):
        print(number, flush=True)
        if number == 0:
            sys.stdin.readline()
print("after the run", flush=True)
"""
    command = [sys.executable, "-c", program]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"0\n"
    process.stdout.close()
    process.stdin.close()  # now it goes on
    assert process.wait(PATIENCE_S) == 0
    assert (tmp_path / "log.txt").read_text().split() == [str(number) for number in range(2000)]


def test_a_signal_to_all_processes_of_a_job_leaves_the_log_whole(tmp_path):
    program = f"""
import sys
from pathlib import Path
from training.terminal.log_file import LogFile
with LogFile(Path({str(tmp_path / "log.txt")!r})):
    print("before", flush=True)
    sys.stdin.readline()
    print("after", flush=True)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"before\n"
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0
    assert (tmp_path / "log.txt").read_text() == "before\nafter\n"


@pytest.fixture
def run(tmp_path):
    run = Run.create(SPEC, "one", tmp_path)
    run.hold()
    return run


def test_a_run_that_fills_the_disk_fails_with_the_first_error(run, monkeypatch):
    def fill_the_disk(*_: object) -> int:
        (run.folder / ".status.json.new").symlink_to("/dev/full")
        raise RunError("cannot write the checkpoint")

    monkeypatch.setattr(heavy_module, "_run_steps", fill_the_disk)
    with pytest.raises(RunError, match="cannot write the checkpoint"):
        heavy_module.train_and_evaluate(assemble(SPEC), run, ())
    assert run.status().state == "died"  # it can be resumed when there is space


def test_an_attempt_on_a_full_disk_fails_with_the_first_error(run, monkeypatch):
    run.release()
    (run.folder / ".status.json.new").symlink_to("/dev/full")
    monkeypatch.setattr(attempt_module, "assemble", failing(SpecError("the first error")))
    with pytest.raises(SpecError, match="the first error"):
        attempt_module.attempt(run, Lease(()), ())
    run.hold()  # nobody else does any more
    run.release()


def test_the_log_tells_where_the_system_refused_something(run, monkeypatch):
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "words.txt")
    monkeypatch.setattr(heavy_module, "_run_steps", failing(missing))
    with pytest.raises(FileNotFoundError):
        heavy_module.train_and_evaluate(assemble(SPEC), run, ())
    log = (run.folder / "log.txt").read_text()
    assert "in fail" in log
    assert "words.txt" in log
    assert run.status().state == "failed"


def test_a_command_whose_output_the_caller_has_closed_runs_and_writes_its_output_into_no_file_of_ours(tmp_path):
    program = f"open({str(tmp_path / 'ours')!r}, 'w'); import os, sys; os.write(1, b'x'); return sys.stdout.isatty()"
    code = f"from training.terminal.command_line import guarded\ndef f():\n {program}\nraise SystemExit(guarded(f))"
    shell = 'exec "$0" -c "$1" <&- >&-'
    done = subprocess.run(["sh", "-c", shell, sys.executable, code], cwd=REPOSITORY, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "ours").read_bytes() == b""


def test_a_home_folder_that_is_not_known_is_said_only_where_it_is_needed(monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME", "TEXT_RECOGNIZER_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", failing(KeyError("uid not found")))
    with pytest.raises(TextRecognizerError, match="home folder is not known. Set HOME .*, or TEXT_RECOGNIZER_DATA"):
        data_folder()
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", "/data")
    assert data_folder() == Path("/data")


def test_a_module_that_ends_the_program_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "module_that_exits.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SpecError, match="importing module_that_exits failed: SystemExit: 0"):
        resolve("network", "module_that_exits:Net")


def test_a_working_folder_that_was_removed_is_said(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SpecError, match="no module 'no_such' to import from the current folder, which was removed, or"):
        resolve("network", "no_such:Net")
