import os

import pytest
from filelock import FileLock

from training.tests.cluster.cluster_support import Driver, leaderboard
from training.tests.warm_commands import Warm


@pytest.fixture(scope="session")
def table_of_this_machine(
    tmp_path_factory: pytest.TempPathFactory, digits_prepared: None, warm: Warm
) -> list[dict[str, str]]:
    """The leaderboard of the grid when nothing disturbs it; all processes of a test run share one."""
    here = tmp_path_factory.getbasetemp()
    folder = (here.parent if "PYTEST_XDIST_WORKER" in os.environ else here) / "grid_of_this_machine"
    with FileLock(f"{folder}.lock"):
        if not (folder / "runs" / "grid" / "leaderboard.csv").exists():
            folder.mkdir(exist_ok=True)
            Driver(folder, "--jobs=2", python=warm.programs / "python").finish()
    return leaderboard(folder / "runs" / "grid")
