"""What CI does is what a person can do: every step is a task that exists, and they pass in a clean clone."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from text_recognizer.tests.waiting import PATIENCE_S
from training.tests.documents.pages import make_smaller

REPOSITORY = Path(__file__).resolve().parents[3]
CONFIG = REPOSITORY / ".circleci" / "config.yml"
LONG_S = 4 * PATIENCE_S  # a task is many programs, one after the other
SECOND_PART = 'tasks/test.sh -m "docs or clone" --junitxml=test-results/documents.xml'
# A part of the tests stands for all of them, which this one is among.
SOME_TESTS = {
    "tasks/test.sh": "text_recognizer/tests/test_layering.py training/tests/runs/test_run.py",
    SECOND_PART: "training/tests/documents/test_docs.py --collect-only",
    "tasks/test_evaluation.sh": "-k test_character_predictor",
}


def configuration() -> dict[str, Any]:
    value = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def test_the_circleci_configuration_follows_its_schema():
    checker = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [str(checker), "--builtin-schema", "vendor.circle-ci", str(CONFIG)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def steps(kind: str, jobs: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """What the steps of one kind say, those of the commands first: run, store_artifacts, …"""
    config = configuration()
    every = [step for command in config["commands"].values() for step in command["steps"]]
    every += [step for job in (jobs or config["jobs"]).values() for step in job["steps"]]
    return [step[kind] for step in every if isinstance(step, dict) and kind in step]


def test_every_step_is_one_task():
    commands = [step["command"] for step in steps("run")]
    expected = {"tasks/lint.sh", "tasks/test.sh", "tasks/test_evaluation.sh", "tasks/setup.sh", "tasks/run_sweep.sh"}
    expected |= {"tasks/build_docs.sh"}
    assert expected <= set(commands)
    for command in commands:
        assert os.access(REPOSITORY / command.split()[0], os.X_OK), command


def test_every_job_is_run_and_the_cache_is_of_the_constraints():
    config = configuration()
    assert set(config["workflows"]["build"]["jobs"]) == set(config["jobs"])
    (saved,), (restored,) = steps("save_cache"), steps("restore_cache")
    assert saved["key"] in restored["keys"]
    assert '{{ checksum "constraints.txt" }}' in saved["key"]


def test_the_two_decisive_tasks_are_called_by_ci_and_both_parts_of_the_tests():
    lines = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert {"set -euo pipefail", "tasks/lint.sh"} <= {*lines}
    assert [line for line in lines if line.startswith("tasks/test.sh")] == ["tasks/test.sh", SECOND_PART]
    assert SECOND_PART in [step["command"] for step in steps("run")]
    assert '-m "not docs and not clone" --junitxml' in (REPOSITORY / "tasks/test.sh").read_text(encoding="utf-8")


def borrowed_environment(clone: Path) -> None:
    """A .venv that setup.sh takes for its own: new, but with the packages that are installed here already."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", clone / ".venv"], check=True)
    packages = [place for place in sys.path if Path(place).name == "site-packages"]
    own = subprocess.run(
        [clone / ".venv" / "bin" / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (Path(own) / "borrowed.pth").write_text("\n".join([str(clone), *packages, ""]))
    here = Path(sys.executable).parent
    for name in ("ruff", "mypy", "shellcheck", "pytest", "check-jsonschema", "run_experiment", "run_sweep", "wandb"):
        content = (here / name).read_bytes()
        if content.startswith(b"#!"):  # of this environment's Python
            content = f"#!{clone}/.venv/bin/python\n".encode() + content.partition(b"\n")[2]
        (clone / ".venv" / "bin" / name).write_bytes(content)
        (clone / ".venv" / "bin" / name).chmod(0o755)
    pins = (clone / "pyproject.toml").read_bytes() + (clone / "constraints.txt").read_bytes()
    checksum = subprocess.run(["cksum"], input=pins, capture_output=True, check=True).stdout.decode().strip()
    (clone / ".venv" / ".stamp").write_text(f"cpu {clone} {checksum}\n")


@pytest.mark.clone
@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="no repository to clone")
def test_the_steps_of_every_job_pass_in_a_clean_clone(tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--local", str(REPOSITORY), str(clone)], check=True)
    borrowed_environment(clone)
    make_smaller(clone, "training/sweep_digits.yaml")
    if (REPOSITORY / ".mypy_cache").exists():
        with contextlib.suppress(shutil.Error):  # another mypy may be at work; the cache only saves time
            shutil.copytree(REPOSITORY / ".mypy_cache", clone / ".mypy_cache")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "PYTEST_"))}
    environ |= {"TEXT_RECOGNIZER_EXTRA": "cpu"}
    for name in ("TEXT_RECOGNIZER_RUNS", "VIRTUAL_ENV", "PYTHONPATH"):
        environ.pop(name, None)
    for command in dict.fromkeys(step["command"] for step in steps("run")):
        environ["PYTEST_ADDOPTS"] = f"-p no:cacheprovider {SOME_TESTS.get(command, '')}"
        done = subprocess.run(
            ["bash", "-c", command], cwd=clone, env=environ, capture_output=True, text=True, timeout=LONG_S, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    for step in steps("store_artifacts") + steps("store_test_results"):
        assert any((clone / step["path"]).rglob("*.*")), step["path"]


set_up_here = pytest.mark.skipif(
    not str(sys.executable).startswith(str(REPOSITORY / ".venv")),
    reason="not run by tasks/test.sh, so .venv may be old",
)


@set_up_here
@pytest.mark.parametrize(
    ("table", "code", "expected", "told"),
    [
        ("jinja2 3.0 CVE-1", 1, 1, "jinja2 3.0 CVE-1"),
        ("", 1, 0, "could not be looked up"),  # as without a network
        ("", 0, 0, ""),
    ],
)
def test_known_vulnerabilities_fail_the_audit_and_a_missing_network_does_not(tmp_path, table, code, expected, told):
    lines = ["import sys", "path = next(word[9:] for word in sys.argv if word.startswith('--output='))"]
    lines += [f"open(path, 'w').write({table!r})", f"sys.exit({code})"]
    (tmp_path / "pip_audit.py").write_text("\n".join(lines))
    done = subprocess.run(
        [str(REPOSITORY / "tasks" / "audit.sh")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expected
    assert told in done.stdout + done.stderr


@set_up_here
def test_the_run_task_passes_its_arguments_on(tmp_path):
    environ = {**os.environ, "TEXT_RECOGNIZER_RUNS": str(tmp_path / "runs")}
    done = subprocess.run(
        [str(REPOSITORY / "tasks" / "run_experiment.sh"), "--train_args.epochs=0"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "epochs must be at least 1" in done.stderr


def test_pins_name_no_host_and_no_local_path():
    for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert "://" not in line
        assert " @ " not in line
        assert "==" in line


@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="no repository to list")
def test_nothing_stands_at_the_top_that_does_not_belong_there():
    rooms = ".ci .circleci docs evaluation metadata tasks text_recognizer training"
    files = (
        ".dockerignore .gitignore CHANGELOG.md CONTRIBUTING.md Dockerfile LICENSE README.md constraints.txt mkdocs.yml"
    )
    kept = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert {path.partition("/")[0] for path in kept.splitlines()} == {*rooms.split(), *files.split(), "pyproject.toml"}
