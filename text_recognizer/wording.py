"""Sentences shared by error messages."""

import difflib
import functools
import shlex
from collections.abc import Iterable, Mapping
from types import MappingProxyType

_LONGEST = 80  # longest foreign text in a message


def did_you_mean(name: str, known: Iterable[str], shown: Mapping[str, str] = MappingProxyType({})) -> str:
    """A hint with a leading blank (Did you mean 'x'?), or "" if no known name is close.

    Args:
        shown: text to propose instead of a known name.
    """
    close = _closest(name, tuple(known)) if len(name) <= _LONGEST else ""  # the cache is bounded, too
    return f" Did you mean '{shown.get(close, close)}'?" if close else ""


@functools.lru_cache(maxsize=256)  # a sweep asks for the same hint for each of its points
def _closest(name: str, known: tuple[str, ...]) -> str:
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else ""


def received(value: object) -> str:
    """The received value, shortened to fit a line."""
    try:
        text = repr(value)
    except ValueError:  # Python does not print a number of so many digits
        text = "a value that cannot be shown"
    return f"Received: {shortened(text)}."


def shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def counted(count: int, noun: str) -> str:
    """A number with its noun: 1 image, 2 images."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shell_word(value: object) -> str:
    """A path or name as one word of a shell command for the user to copy."""
    return shlex.quote(str(value))
