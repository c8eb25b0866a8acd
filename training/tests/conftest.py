import signal

import pytest

from text_recognizer.tests.conftest import digits_prepared, no_trusted_code, private_folders  # noqa: F401 - fixtures for tests here
from training.tests.wandb_backend import wandb_backend  # noqa: F401

# Of those that take longest, the first first: a long file that is begun last keeps one process busy alone.
LONGEST = (
    "test_online_sweeps",
    "test_docs",
    "test_experiment_files",
    "test_line_experiments",
    "test_ci",
    "test_zygote",
    "test_line_runs",
    "test_online_runs",
    "test_executors",
    "test_run_sweep",
    "test_resume",
    "test_nothing_leaks",
    "test_agent_runs",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {f"{name}.py": rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


@pytest.fixture(scope="session", autouse=True)
def _heeding_ctrl_c():
    """A shell starts what it runs in the background deaf to SIGINT; processes of tests would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
