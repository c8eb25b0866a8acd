"""The W&B mode of a run: offline by default."""

import os
from collections.abc import Callable
from typing import Literal, get_args

from text_recognizer.errors import SpecError
from text_recognizer.wording import received

Mode = Literal["online", "offline", "disabled"]
# Recorded when this process starts: its parent may have exited later.
STARTED_BY = os.getppid()
MODES: tuple[Mode, ...] = get_args(Mode)


def wandb_mode(asked: str | None, say: Callable[[str], None]) -> Mode:
    """The command line's mode, else WANDB_MODE, else offline; offline without key. Raises SpecError: wrong WANDB_MODE.

    A run that W&B's agent starts is online by default.
    """
    value = asked or os.environ.get("WANDB_MODE") or ("online" if under_agent() else "offline")
    value = {"dryrun": "offline", "run": "online"}.get(value, value)  # older values of W&B
    mode = next((mode for mode in MODES if mode == value), None)
    if mode is None:
        raise SpecError(f"WANDB_MODE must be one of {', '.join(MODES)}. {received(value)}")
    if mode == "online" and not has_key():
        where = "WANDB_API_KEY or wandb login"
        say(f"no W&B key found ({where}): this run is kept offline; text-recognizer sync sends it later")
        return "offline"
    return mode


def under_agent() -> bool:
    """Whether W&B's agent started this process, for one trial of a sweep."""
    return bool(os.environ.get("WANDB_SWEEP_ID") and os.environ.get("WANDB_RUN_ID"))


def has_key() -> bool:
    """Whether W&B would find an API key, without importing it."""
    import netrc
    from urllib.parse import urlsplit

    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
