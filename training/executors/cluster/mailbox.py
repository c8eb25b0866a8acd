"""Where a driver and an agent meet on a file system that both see: two journals, each with one writer, and beats.

Correct on NFS: a file is opened anew for each look and closed after each write, which is what NFS promises to show;
names appear by rename or O_EXCL; no lock is taken across hosts; no host's clock is compared with another's.

orders.jsonl    from the driver
reports.jsonl   from the agent
beat            a number that the agent changes as long as it lives

Of several drivers, perhaps on different hosts, agents obey the latest; an earlier one gives up.

driver.N        made with O_EXCL by the N-th driver; says where it is
driver.N.beat   there and changing as long as that driver is at work
"""

import contextlib
import os
import socket
import time
from collections import deque
from pathlib import Path

from text_recognizer.errors import RunError
from training.executors.cluster.messages import Message
from training.files.journals import append_line, open_journal, parse_journal
from training.files.safe_files import cannot_write

BEAT_S = 1.0


class Outbox:
    """The writing end of a journal of messages. What could not be written stays until it can."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_whole = False  # a writer before this one, or a full disk, may have left half a line
        self._waiting: deque[Message] = deque()

    def send(self, message: Message) -> None:
        """Writes a message after those that wait. Raises RunError: the disk cannot be written; it then waits too."""
        self._waiting.append(message)
        self.flush()

    def flush(self) -> None:
        while self._waiting:
            if self._is_whole:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            else:
                descriptor = open_journal(self._path)
            self._is_whole = False
            try:
                append_line(descriptor, self._path, self._waiting[0])
            finally:
                os.close(descriptor)
            self._is_whole = True
            self._waiting.popleft()


class Inbox:
    """The reading end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def receive(self) -> list[Message]:
        """The whole lines that have come since the last call."""
        try:
            with open(self._path, "rb", buffering=0) as file:
                file.seek(self._read)
                content = file.readall()
        except OSError:  # not there yet, or a server that is away: the next look tells
            return []
        self._read += content.rfind(b"\n") + 1
        return parse_journal(content).rows


class Beat:
    """Shows others that this process lives: a number that changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0
        self._due = 0.0

    def beat(self) -> None:
        """Changes the number when it is time to."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + BEAT_S
        self._count += 1
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                os.pwrite(descriptor, b"%020d\n" % self._count, 0)
            finally:
                os.close(descriptor)


class Pulse:
    """Watches the beat of another process, by this process's clock alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: bytes | None = None
        self._since = self._looked = time.monotonic()

    def silent_s(self) -> float:
        """How long ago a change was seen, or this watch began. It looks four times a beat, however often asked."""
        now = time.monotonic()
        if now - self._looked >= BEAT_S / 4:
            self._looked = now
            if self.has_changed():
                self._since = now
        return now - self._since

    def has_changed(self) -> bool:
        """Whether the other has beaten since the last look."""
        seen, self._seen = self._seen, self._content()
        return seen != self._seen

    def is_there(self) -> bool:
        return self._content() is not None

    def _content(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except OSError:
            return None


def make_mailbox(folder: Path) -> None:
    """A new mailbox, with its name only when it is whole. Raises RunError: it cannot be written."""
    unfinished = folder.with_name(f".{folder.name}.new")
    try:
        unfinished.mkdir()
        (unfinished / "orders.jsonl").touch()
        (unfinished / "reports.jsonl").touch()
        unfinished.rename(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error


class Turn:
    """A driver's turn, from `take` to `end`."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self._next = folder / f"driver.{number + 1}"
        self._beat_file = folder / f"driver.{number}.beat"
        self._beat = Beat(self._beat_file)

    @classmethod
    def take(cls, folder: Path) -> "Turn":
        """The next turn. Raises RunError: another driver is at work, or the folder cannot be written."""
        if (who := driver_elsewhere(folder)) is not None:
            raise RunError(f"the sweep {folder.parent} is driven by {who} already.")
        last = last_turn(folder)
        try:
            descriptor = os.open(folder / f"driver.{last + 1}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
            os.close(descriptor)
        except FileExistsError:
            raise RunError(f"another driver of the sweep {folder.parent} was faster and continues it.") from None
        except OSError as error:
            raise cannot_write(folder, error) from error
        turn = cls(folder, last + 1)
        turn._beat.beat()
        for name in (f"driver.{last}", f"driver.{last}.beat"):
            (folder / name).unlink(missing_ok=True)
        return turn

    def beat(self) -> None:
        """Shows that this driver is at work. Raises RunError: another one has taken over."""
        if not self.is_ours():
            raise RunError("another driver has taken over this sweep; this one ends.")
        self._beat.beat()

    def is_ours(self) -> bool:
        return not os.path.exists(self._next)  # noqa: PTH110 - without an error where the server is away

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._beat_file.unlink()


def last_turn(folder: Path) -> int:
    """The number of the latest driver; 0 before the first."""
    numbers = [entry.name.split(".")[1] for entry in os.scandir(folder) if entry.name.startswith("driver.")]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def driver_elsewhere(folder: Path) -> str | None:
    """The driver on another host, if it is seen to be at work; on this host the lock of the sweep tells."""
    try:
        last = last_turn(folder)
        who = (folder / f"driver.{last}").read_text()
    except OSError:
        return None
    pulse = Pulse(folder / f"driver.{last}.beat")
    if who.rpartition(" on ")[2] == socket.gethostname() or not pulse.is_there():
        return None
    pulse.has_changed()
    for _ in range(20):  # four looks a beat
        time.sleep(BEAT_S / 4)
        if pulse.has_changed():
            return who
    return None
