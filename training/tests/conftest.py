import signal

import pytest

from text_recognizer.tests.conftest import digits_prepared, private_folders  # noqa: F401 - fixtures for tests here
from training.tests.wandb_backend import wandb_backend  # noqa: F401


@pytest.fixture(scope="session", autouse=True)
def _heeding_ctrl_c():
    """A shell starts what it runs in the background deaf to SIGINT; processes of tests would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
