"""Every command in the documents is run as written; every path they name exists."""

import fcntl
import json
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

import pytest

from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.tests.documents.pages import PAGES, REPOSITORY, blocks, commands, environ_of, make_place


@pytest.fixture(scope="module")
def stand(tmp_path_factory, warm):
    """The folder of a page, and the surroundings of commands there.

    Where its commands look at earlier runs there is one, and W&B's files of it.
    """
    path = os.pathsep.join([str(warm.programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    places: dict[str, tuple[Path, dict[str, str]]] = {}

    def stand(page: str) -> tuple[Path, dict[str, str]]:
        if page not in places:
            folder = tmp_path_factory.mktemp("reader")
            make_place(folder, page)
            environ = {**environ_of(folder), "PATH": path}
            if any(re.search(r" last\b|runs list|offline-run", command) for command in commands(page)):
                bash("run_experiment --train_args.epochs=2", folder, environ).check_returncode()
            places[page] = (folder, {**environ, "WANDB_MODE": "disabled"})
        return places[page]

    return stand


def bash(command: str, folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE_S,  # it may be a sweep of many runs
        check=False,
    )


@pytest.mark.docs
@pytest.mark.parametrize(
    ("page", "command"), [pytest.param(page, command) for page in PAGES for command in commands(page)]
)
def test_a_command_of_the_documents_runs(page, command, stand):
    folder, environ = stand(page)
    if command.startswith("wandb leet"):
        _quit_after_a_moment(command, folder, environ)
        return
    done = bash(command, folder, environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr


def _quit_after_a_moment(command: str, place: Path, environ: dict[str, str]) -> None:
    """A program for the terminal: it must draw something about a run, and leave when asked to."""
    command = command.replace("*", _newest_run(place).name, 1)
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        os.chdir(place)
        os.execvpe("bash", ["bash", "-c", command], {**environ, "TERM": "xterm-256color"})
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


@pytest.mark.docs
@pytest.mark.parametrize(
    ("page", "text"),
    [(page, block.text) for page in PAGES for block in blocks(page) if block.language == "python" and not block.title],
)
def test_a_python_example_of_the_documents_runs(page, text, stand):
    folder, environ = stand(page)
    done = bash('example "$TEXT"', folder, {**environ, "TEXT": text})
    assert done.returncode == 0, done.stderr


@pytest.mark.docs
def test_the_notebook_runs_and_keeps_no_output(stand):
    notebook = json.loads((REPOSITORY / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["outputs"] for cell in cells] == [[] for _ in cells]
    folder, environ = stand("docs/reference/python.md")
    text = "\n".join("".join(cell["source"]) for cell in cells)
    done = bash('example "$TEXT"', folder, {**environ, "TEXT": text})
    assert done.returncode == 0, done.stderr
    assert "trial" in done.stdout


@pytest.mark.docs
def test_the_message_of_a_mistyped_spec_is_as_shown(stand):
    shown = [(page, block.text) for page in PAGES for block in blocks(page) if block.text.startswith("$ run_exp")]
    assert shown
    for page, text in shown:
        command, expected = text.removeprefix("$ ").split("\n", 1)
        if expected.startswith("error:"):
            done = bash(command, *stand(page))
            assert (done.returncode, done.stderr) == (2, expected)


def test_the_file_tree_names_what_exists():
    every = [block.text for page in PAGES for block in blocks(page)]
    trees = [text for text in every if text.startswith("README.md pyproject.toml")]
    assert len(trees) == 2  # the house, and its rooms
    assert [name for tree in trees for name in _missing(tree)] == []


def _missing(tree: str) -> list[str]:
    missing: list[str] = []
    stack = [REPOSITORY]
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = [name for name in line.strip().split("  ")[0].split() if "." in name or name.endswith("/")]
        stack = stack[: depth + 1]
        missing += [f"{stack[-1].name}/{name}" for name in names if not (stack[-1] / name).exists()]
        if names and names[-1].endswith("/"):
            stack.append(stack[-1] / names[-1])
    return missing


def test_the_readme_is_a_page():
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 160


def test_every_setting_in_the_code_is_in_the_documents():
    documents = "".join((REPOSITORY / page).read_text(encoding="utf-8") for page in PAGES)
    sources = [path for top in ("text_recognizer", "training", "tasks") for path in (REPOSITORY / top).rglob("*.*")]
    texts = [
        path.read_text(encoding="utf-8")
        for path in sources
        if path.suffix in (".py", ".sh") and "tests" not in path.parts
    ]
    used = {name for text in texts for name in re.findall(r"TEXT_RECOGNIZER_[A-Z_]+\b", text)}
    internal = {f"TEXT_RECOGNIZER_{name}" for name in ("LEASE", "GPU_MEMORY_MIB", "ENDS_WITH_INPUT", "ERROR_FILE")}
    assert sorted(name for name in used - internal if name not in documents) == []


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_local_links_lead_somewhere(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [link for link in links if not ((REPOSITORY / page).parent / link).exists()] == []
