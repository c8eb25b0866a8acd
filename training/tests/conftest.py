import os
import signal
import sys
from collections.abc import Iterator

import pytest
from filelock import FileLock

from text_recognizer.tests.conftest import digits_prepared, no_trusted_code, private_folders  # noqa: F401 - fixtures for tests here
from training.tests.wandb.wandb_backend import wandb_backend  # noqa: F401
from training.tests.warm_commands import Warm, start_warm_process

# By processor time: a long file that is begun last keeps one process busy alone. Those of Slurm and Ray mostly wait, so
# that they stand apart.
LONGEST = (
    "test_slurm",
    "test_docs",
    "test_online_sweeps",
    "test_line_runs",
    "test_ray",
    "test_experiment_files",
    "test_multi_worker",
    "test_line_experiments",
    "test_line_trainings",
    "test_ci",
    "test_line_predictors",
    "test_fuzzing",
    "test_run_experiment",
    "test_resume",
    "test_executors",
    "test_sweep_faults",
    "test_sync",
    "test_agent_runs",
    "test_zygote",
    "test_wandb_backend_agents",
    "test_wandb_backend_troubles",
    "test_wandb_backend",
    "test_tracking",
    "test_gpu_contention",
    "test_transfer",
    "test_run_sweep",
    "test_line_networks",
    "test_nothing_leaks",
    "test_online_runs",
    "test_budget",
    "test_short_trainings",
    "test_ui_sweeps",
    "test_api",
    "test_hwdb",
    "test_population",
    "test_found_lines",
    "test_export",
    "test_power_cuts",
    "test_twin",
    "test_interrupted_processes",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {f"{name}.py": rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


@pytest.fixture(scope="session", autouse=True)
def _heeding_ctrl_c():
    """A shell starts what it runs in the background deaf to SIGINT; processes of tests would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory, _heeding_ctrl_c: None) -> Iterator[Warm]:
    """Starts commands without the seconds that it takes to import TensorFlow; all processes of a test run share it."""
    here = tmp_path_factory.getbasetemp()
    with_others = "PYTEST_XDIST_WORKER" in os.environ
    folder = (here.parent if with_others else here) / "warm"
    with FileLock(f"{folder}.lock"):
        started = None if folder.exists() else start_warm_process(folder, os.getppid() if with_others else os.getpid())
    yield Warm(folder)
    del started  # it ends with the last of the tests, not here


@pytest.fixture(scope="module")
def warm_python(warm: Warm) -> Iterator[None]:
    """What the tests of a module start as `sys.executable -m training.run_sweep`, and the like, is warm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(warm.programs / "python"))
        yield


@pytest.fixture(scope="module")
def unoptimised_graphs() -> Iterator[None]:
    """TensorFlow executes graphs as they were written: optimising them takes longer than a few steps."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


@pytest.fixture
def kernel_kills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For tests that have the kernel kill a process, or that kill runs which must not be mistaken for such.

    The kernel counts these kills for the whole machine, so that such tests must not run side by side.
    """
    here = tmp_path_factory.getbasetemp()
    shared = here.parent if "PYTEST_XDIST_WORKER" in os.environ else here
    with FileLock(shared / "kernel_kills.lock"):
        yield
