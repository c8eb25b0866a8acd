"""Every command in the documents is run as written; every path they name exists."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest

from text_recognizer.tests.character_files import idx_bytes, idx_files, part
from text_recognizer.tests.waiting import PATIENCE_S, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
LONG_S = 4 * PATIENCE_S  # a command may be a sweep of many runs


def blocks(language: str, document: str) -> list[str]:
    """The fenced blocks of one language; "" for those of none."""
    found: list[tuple[str, list[str]]] = []
    inside = False
    for line in (REPOSITORY / document).read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = not inside
            if inside:
                found.append((line.removeprefix("```").strip(), []))
        elif inside:
            found[-1][1].append(line)
    return ["\n".join(lines) + "\n" for named, lines in found if named == language]


def commands() -> list[str]:
    """All shell commands of the documents in order; tasks are run by CI itself."""
    lines = [line for document in DOCUMENTS for block in blocks("sh", document) for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(("#", "tasks/", "wandb sync"))]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where a reader stands: what the documents name lies there, remote datasets are small and local."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "text_recognizer").symlink_to(REPOSITORY / "text_recognizer")
    (folder / "training").symlink_to(REPOSITORY / "training")
    (folder / "my_networks.py").write_text(blocks("python", "README.md")[0])
    images, labels = part([index % 10 for index in range(40)])
    (folder / "letters-images-idx3-ubyte.gz").write_bytes(idx_bytes(images))
    (folder / "letters-labels-idx1-ubyte.gz").write_bytes(idx_bytes(labels.astype(np.uint8)))
    _publish(folder)
    first_run = [sys.executable, "-m", "training.run_experiment", "--train_args.epochs=2"]
    subprocess.run(first_run, cwd=folder, env=environ(folder), check=True, capture_output=True)
    return folder


def _publish(folder: Path) -> None:
    """mnist and emnist of the registry, in miniature."""
    import hashlib

    digits = idx_files(
        part([index % 10 for index in range(100)]), part([index % 10 for index in range(20)]), "", "t10k"
    )
    letters = idx_files(part([index % 62 for index in range(620)]), part(list(range(62))), "emnist-byclass-")
    tables = []
    for table, files in (("mnist", digits), ("emnist", letters)):
        tables.append(f'[{table}]\ntitle = "{table} in miniature"\n')
        for name, content in files.items():
            (folder / name).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            url = (folder / name).as_uri()
            tables.append(f'[[{table}.files]]\nurl = "{url}"\nfilename = "{name}"\nsha256 = "{digest}"\n')
    (folder / "metadata.toml").write_text("\n".join(tables))


def environ(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TEXT_RECOGNIZER_DATA": str(folder / "data"),
        "TEXT_RECOGNIZER_METADATA": str(folder / "metadata.toml"),
        "TEXT_RECOGNIZER_RUNS": "runs",
        "TEXT_RECOGNIZER_WEIGHTS": str(REPOSITORY / "text_recognizer" / "weights"),
    }


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_documents_runs(command, place):
    if command.startswith("wandb leet"):
        _quit_after_a_moment(command, place)
        return
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=place,
        env=environ(place),
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # A run waits only a little for W&B's files; on a crowded machine they are made while others read this.
    assert "warning" not in re.sub("warning: W&B is not done yet; .*", "", done.stderr)


def _quit_after_a_moment(command: str, place: Path) -> None:
    """A program for the terminal: it must draw something about a run, and leave when asked to."""
    command = command.replace("*", _newest_run(place).name, 1)
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        os.chdir(place)
        os.execvpe("bash", ["bash", "-c", command], {**environ(place), "TERM": "xterm-256color"})
    drawn, asked, until = b"", False, time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        ready, _, _ = select.select([terminal], [], [], 0.2)
        try:
            drawn += os.read(terminal, 65536) if ready else b""
        except OSError:  # it has closed its terminal
            break
        if b"DigitsDataset" in drawn and not asked:
            os.write(terminal, b"q")
            asked = True
    if time.monotonic() >= until:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert b"DigitsDataset" in drawn, drawn[-2000:]
    assert os.waitstatus_to_exitcode(status) == 0


def _newest_run(place: Path) -> Path:
    return max(wait_until(lambda: [path.parents[1] for path in place.glob("runs/default/*/wandb/offline-run-*")]))


def test_the_python_examples_run(place):
    for example in blocks("python", "README.md"):
        done = subprocess.run(
            [sys.executable, "-c", example], cwd=place, env=environ(place), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_message_of_a_mistyped_spec_is_as_shown(place):
    shown = next(block for block in blocks("", "README.md") if block.startswith("$ run_experiment"))
    command, expected = shown.removeprefix("$ ").split("\n", 1)
    done = subprocess.run(["bash", "-c", command], cwd=place, env=environ(place), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, expected)


def test_the_file_tree_names_what_exists():
    tree = next(block for block in blocks("", "README.md") if block.startswith("README.md pyproject.toml"))
    missing: list[str] = []
    stack = [REPOSITORY]
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = [name for name in line.strip().split("  ")[0].split() if "." in name or name.endswith("/")]
        stack = stack[: depth + 1]
        missing += [f"{stack[-1].name}/{name}" for name in names if not (stack[-1] / name).exists()]
        if names and names[-1].endswith("/"):
            stack.append(stack[-1] / names[-1])
    assert missing == []


def test_every_setting_in_the_code_is_in_the_readme():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    sources = [path for top in ("text_recognizer", "training", "tasks") for path in (REPOSITORY / top).rglob("*.*")]
    texts = [
        path.read_text(encoding="utf-8")
        for path in sources
        if path.suffix in (".py", ".sh") and "tests" not in path.parts
    ]
    used = {name for text in texts for name in re.findall(r"TEXT_RECOGNIZER_[A-Z_]+\b", text)}
    internal = {"TEXT_RECOGNIZER_LEASE", "TEXT_RECOGNIZER_GPU_MEMORY_MIB"}
    assert sorted(name for name in used - internal if name not in readme) == []


@pytest.mark.parametrize("document", [*DOCUMENTS, "CHANGELOG.md"])
def test_local_links_lead_somewhere(document):
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [link for link in links if not (REPOSITORY / link).exists()] == []
