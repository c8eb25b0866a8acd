"""Communication of a driver and an agent through a shared file system: two journals with one writer each, and beats.

Correct on NFS: a file is opened for each read and closed after each write, for which NFS guarantees consistency; names
appear by rename or O_EXCL; no locks across hosts; clocks of different hosts are never compared.

orders.jsonl    from the driver
reports.jsonl   from the agent
beat            a number that the agent changes while it lives

Of several drivers, possibly on different hosts, agents obey the latest; an earlier one gives up.

driver.N        created with O_EXCL by the N-th driver; contains its location
driver.N.beat   exists and changes while that driver is active
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
    """The writing end of a journal of messages. Messages that cannot be written are kept and retried."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_whole = False  # an earlier writer, or a full disk, may have left a partial line
        self._waiting: deque[Message] = deque()

    def send(self, message: Message) -> None:
        """Writes pending messages, then this one. Raises RunError: the disk cannot be written; it becomes pending."""
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
        """The complete lines since the last call."""
        try:
            with open(self._path, "rb", buffering=0) as file:
                file.seek(self._read)
                content = file.readall()
        except OSError:  # missing, or the server is unavailable: retried next time
            return []
        self._read += content.rfind(b"\n") + 1
        return parse_journal(content).rows


class Beat:
    """Heartbeat of this process: a number that changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0
        self._due = 0.0

    def beat(self) -> None:
        """Changes the number if it is due."""
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
    """Watches the heartbeat of another process, using only this process's clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: bytes | None = None
        self._since = self._looked = time.monotonic()

    def silent_s(self) -> float:
        """Time since the last observed change, or since the start. Reads at most four times per beat."""
        now = time.monotonic()
        if now - self._looked >= BEAT_S / 4:
            self._looked = now
            if self.has_changed():
                self._since = now
        return now - self._since

    def has_changed(self) -> bool:
        """Whether the beat has changed since the last read."""
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
    """Creates a mailbox atomically. Raises RunError: it cannot be written."""
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
        """Takes the next turn. Raises RunError: another driver is active, or the folder cannot be written."""
        if (who := driver_elsewhere(folder)) is not None:
            raise RunError(f"the sweep {folder.parent} is driven by {who} already.")
        last = last_turn(folder)
        try:
            descriptor = os.open(folder / f"driver.{last + 1}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
            os.write(descriptor, f"process {os.getpid()} on {(host := socket.gethostname())}\n{host}".encode())
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
        """Shows that this driver is active. Raises RunError: another one has taken over."""
        if not self.is_ours():
            raise RunError("another driver has taken over this sweep; this one ends.")
        self._beat.beat()

    def is_ours(self) -> bool:
        return not os.path.exists(self._next)  # noqa: PTH110 - no error if the server is unavailable

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._beat_file.unlink()


def last_turn(folder: Path) -> int:
    """The number of the latest driver; 0 before the first."""
    numbers = [entry.name.split(".")[1] for entry in os.scandir(folder) if entry.name.startswith("driver.")]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def driver_elsewhere(folder: Path) -> str | None:
    """An active driver on another host; on this host, the lock of the sweep shows it."""
    try:
        last = last_turn(folder)
        who, _, host = (folder / f"driver.{last}").read_text().partition("\n")
    except OSError:
        return None
    pulse = Pulse(folder / f"driver.{last}.beat")
    if host == socket.gethostname() or not pulse.is_there():
        return None
    pulse.has_changed()
    for _ in range(20):  # four reads per beat
        time.sleep(BEAT_S / 4)
        if pulse.has_changed():
            return who
    return None
