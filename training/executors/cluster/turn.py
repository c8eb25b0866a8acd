"""Turn: which of several drivers, perhaps on different hosts, agents obey. The latest one; an earlier one gives up.

agents/driver.N        made with O_EXCL by the N-th driver; says where it is
agents/driver.N.beat   there and changing as long as that driver is at work
"""

import contextlib
import os
import socket
import time
from pathlib import Path

from text_recognizer.errors import RunError
from training.executors.cluster.mailbox import BEAT_S, Beat, Pulse
from training.files.safe_files import cannot_write

_LOOKS = 20  # four a beat


class Turn:
    """A driver's turn, from `take` to `end`."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self._next = folder / f"driver.{number + 1}"
        self._beat_file = folder / f"driver.{number}.beat"
        self._beat = Beat(self._beat_file)

    @classmethod
    def take(cls, folder: Path) -> "Turn":
        """The next turn.

        Raises:
            RunError: another driver is at work, or the folder cannot be written.
        """
        last = last_turn(folder)
        _refuse_beside_another(folder, last)
        try:
            descriptor = os.open(folder / f"driver.{last + 1}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
            os.write(descriptor, _here().encode())
            os.close(descriptor)
        except FileExistsError:
            raise RunError(f"another driver of the sweep {folder.parent} was faster. Leave it to that one.") from None
        except OSError as error:
            raise cannot_write(folder, error) from error
        turn = cls(folder, last + 1)
        turn._beat.beat()
        for name in (f"driver.{last}", f"driver.{last}.beat"):
            (folder / name).unlink(missing_ok=True)
        return turn

    def beat(self) -> None:
        """Shows that this driver is at work.

        Raises:
            RunError: another one has taken over.
        """
        if not self.is_ours():
            raise RunError("another driver has taken this sweep over; this one ends and leaves it to that one.")
        self._beat.beat()

    def is_ours(self) -> bool:
        """Whether no other driver has taken over."""
        return not os.path.exists(self._next)  # noqa: PTH110 - without an error where the server is away

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._beat_file.unlink(missing_ok=True)


def last_turn(folder: Path) -> int:
    """The number of the latest driver; 0 before the first."""
    names = (entry.name.split(".") for entry in os.scandir(folder) if entry.name.startswith("driver."))
    return max((int(name[1]) for name in names if name[1].isdecimal()), default=0)


def _here() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _refuse_beside_another(folder: Path, last: int) -> None:
    """On one host the lock of the sweep has told already; of another host only its driver's beat does."""
    try:
        who = (folder / f"driver.{last}").read_text()
    except OSError:
        return
    if who.rpartition(" on ")[2] == socket.gethostname():
        return
    pulse = Pulse(folder / f"driver.{last}.beat")
    if not pulse.is_there():
        return
    pulse.has_changed()
    for _ in range(_LOOKS):
        time.sleep(BEAT_S / 4)
        if pulse.has_changed():
            raise RunError(f"the sweep {folder.parent} is driven by {who} already.")
