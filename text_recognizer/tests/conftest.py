"""Fixtures for all tests of the three packages; the other packages' conftest files import them."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


@pytest.fixture(scope="session", autouse=True)
def private_folders(tmp_path_factory):
    """No test sees or changes the user's data, runs, locks or W&B settings."""
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("private")
    for name in ("DATA", "RUNS", "LOCKS"):
        patch.setenv(f"TEXT_RECOGNIZER_{name}", str(root / name.lower()))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_SWEEP_ID", "WANDB_RUN_ID"):
        patch.delenv(name, raising=False)
    patch.setenv("WANDB_CONFIG_DIR", str(root / "wandb_config"))
    patch.setenv("WANDB_CACHE_DIR", str(root / "wandb_cache"))
    patch.setenv("WANDB_DATA_DIR", str(root / "wandb_data"))
    patch.setenv("WANDB_ERROR_REPORTING", "false")
    patch.setenv("NETRC", str(root / "netrc"))
    yield root
    patch.undo()


@pytest.fixture(scope="session")
def digits_prepared():
    from text_recognizer.datasets.digits import DigitsDataset

    DigitsDataset().prepare()


def shared_data(name: str) -> Path:
    """A folder of real handwriting beside the repository; the test skips where it is absent."""
    folder = SHARED / "data" / name
    if not folder.exists():
        pytest.skip(f"the real data {folder} is not on this machine")
    return folder
