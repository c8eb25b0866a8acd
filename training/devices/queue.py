"""Waits for devices: one request, from joining the queue to holding the locks."""

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from text_recognizer.errors import DeviceError
from text_recognizer.wording import counted
from training.devices import quarantine
from training.devices.allocation import Wish, allocate
from training.devices.decision import Decision, Kept, Ticket
from training.devices.device import Device, Nvml, Reading
from training.devices.lease_folder import LeaseFolder
from training.devices.lease_records import Entry, Holder, Record
from training.devices.verdicts import Verdict, judge
from training.files import lock_files

# How long NVML's results are used, longer at the end of the queue; the locks are checked more often.
_VERDICT_LIFE_S = 0.5
_VERDICT_LIFE_PER_PLACE_S = 0.2
_LONGEST_PAUSE_S = 0.2
# The lease, and the files whose locks hold its devices.
Granted = tuple[Ticket, tuple[int, ...]]


@dataclass(eq=False)
class Waiter:
    """One request for any of its devices, in the caller's order; on_wait is told what it waits for."""

    folder: LeaseFolder
    nvml: Nvml
    wish: Wish
    devices: Sequence[Device]
    label: str
    on_wait: Callable[[str], None] | None

    def __post_init__(self) -> None:
        self._names = {device.uuid: f"GPU {index}" for index, device in enumerate(self.devices)}
        self._memory_mib = {device.uuid: device.memory_mib or 0 for device in self.devices}
        self._announced = ""
        self._verdicts: dict[str, Verdict] = {}
        self._judged_at = float("-inf")
        self._kept: dict[str, str] = {}  # held outside the records, and how
        self._ticket: Ticket | None = None
        self._leases: list[Entry] = []
        self._ahead = 0
        self._descriptors: list[int] = []
        self._deadline = float("inf")

    def wait(self, timeout_s: float | None) -> Granted:
        """Joins the queue and returns the devices, which are in the record of the ticket.

        Raises:
            DeviceError: it timed out; or the state of the devices will never allow it.
        """
        self._deadline = time.monotonic() + (threading.TIMEOUT_MAX if timeout_s is None else timeout_s)
        try:
            return self._wait_for_turn()
        except BaseException:
            for descriptor in self._descriptors:
                os.close(descriptor)
            if self._ticket is not None:
                self._ticket.leave()
            raise

    def _wait_for_turn(self) -> Granted:
        began = time.monotonic()
        while True:
            # NVML is queried between two decisions: it takes too long to hold the mutex meanwhile.
            if self._turn_may_have_come() and (granted := self._take(self.nvml.readings())):
                return granted
            # Outside of any decision: writing to a terminal may block, and would block all others.
            if self.on_wait is not None and (situation := self._situation()) != self._announced:
                self._announced = situation
                self.on_wait(f"waiting for {situation}")
            waited_s = time.monotonic() - began
            left_s = self._deadline - time.monotonic()
            if left_s <= 0:
                raise DeviceError(f"no devices within {waited_s:.1f} s. Wanted {self._situation()}.")
            # Less often at the end of the queue and after a long time; with jitter.
            pause_s = min(_LONGEST_PAUSE_S, max(0.01 * (1 + self._ahead), waited_s / 50)) * random.uniform(0.75, 1.25)
            time.sleep(min(pause_s, left_s))

    @contextlib.contextmanager
    def _decision(self) -> Iterator[tuple[Decision, Ticket]]:
        """A decision, with this request in the queue; appended again if its file was removed."""
        # At least a second: a time-out of 0 must not fail only because another process holds the mutex.
        patience_s = max(1.0, self._deadline - time.monotonic())
        with self.folder.decision(patience_s, self.on_wait) as decision:
            if self._ticket is not None and not lock_files.is_at(self._ticket.path, self._ticket.descriptor):
                os.close(self._ticket.descriptor)
                self._ticket = None
            if self._ticket is None:
                self._ticket = decision.enqueue(Record.of_this_process(self.wish, self.label))
            yield decision, self._ticket

    def _turn_may_have_come(self) -> bool:
        """Whether the locks and NVML's recent results would allow the request; only then NVML is queried again."""
        with self._decision() as (decision, ticket):
            self._ahead = decision.queue_length(ticket.number)
            if not self._verdicts:
                return True
            self._leases = decision.leases()
            if time.monotonic() - self._judged_at < _VERDICT_LIFE_S + _VERDICT_LIFE_PER_PLACE_S * self._ahead:
                return self._choose(decision, ticket) is not None
        # What earlier requests can use is unknown here, so only check whether there is any room.
        holdings = (entry.holds for entry in self._leases)
        return allocate(self.wish, (), holdings, self._memory_mib, lambda *_: True) is not None

    def _take(self, readings: Sequence[Reading]) -> Granted | None:
        with self._decision() as (decision, ticket):
            self._leases = decision.leases()
            self._judge(decision, readings)
            final = [uuid for uuid in self.wish.candidates if self._verdict(uuid).is_final_for(self.wish)]
            if len(self.wish.candidates) - len(final) < self.wish.count:
                reasons = (f"{self._names[uuid]} is {self._verdict(uuid).obstacle(self.wish)}" for uuid in final)
                raise DeviceError(f"cannot lease {self.wish.text}: {'; '.join(reasons)}.")
            self._kept = decision.kept(self.wish.candidates, self._leases)
            while chosen := self._choose(decision, ticket):
                locked = decision.lock_devices(chosen)
                if isinstance(locked, Kept):
                    self._kept[locked.uuid] = locked.how
                    continue
                self._descriptors = locked
                decision.become_lease(ticket, replace(ticket.record, holds=chosen, since=time.time()))
                return ticket, (ticket.descriptor, *locked)
            return None

    def _judge(self, decision: Decision, readings: Sequence[Reading]) -> None:
        quarantined = quarantine.quarantined(decision.path)
        self._judged_at = time.monotonic()
        self._verdicts = {}
        for reading in readings:
            uuid = reading.device.uuid
            if reading.fault and reading.identified and uuid not in quarantined:
                with contextlib.suppress(OSError):  # it is not leased anyway, because of the fault
                    quarantine.quarantine(decision.path, uuid, reading.fault)
                quarantined[uuid] = reading.fault
            on_it = [entry for entry in self._leases if uuid in entry.holds]
            self._verdicts[uuid] = judge(reading, on_it, quarantined.get(uuid))

    def _choose(self, decision: Decision, ticket: Ticket) -> dict[str, int | None] | None:
        # A request suspended overnight would keep free devices from all others. It queues again later.
        earlier = (entry.record for entry in decision.waiting(ticket.number))
        return allocate(
            self.wish,
            (record.wish for record in earlier if not record.process_is_suspended()),
            (entry.holds for entry in self._leases),
            {uuid: verdict.spare_mib for uuid, verdict in self._verdicts.items()},
            lambda uuid, wish: uuid not in self._kept and self._verdict(uuid).obstacle(wish) is None,
        )

    def _verdict(self, uuid: str) -> Verdict:
        return self._verdicts.get(uuid, Verdict("gone: NVML does not list it any more", lasting=True))

    def _situation(self) -> str:
        """What was requested and, at the last check, what it waits for."""
        queue = f" ({counted(self._ahead, 'request')} ahead)" if self._ahead else ""
        states = (f"{self._names[uuid]} is {self._state(uuid)}" for uuid in self.wish.candidates)
        return f"{self.wish.text}{queue}: {'; '.join(states)}"

    def _state(self, uuid: str) -> str:
        holders = (Holder.of(entry.record, entry.holds[uuid]) for entry in self._leases if uuid in entry.holds)
        reasons = [holder.text for holder in holders]
        if (obstacle := self._verdict(uuid).obstacle(self.wish)) is not None:
            reasons.append(obstacle)
        reasons += [self._kept[uuid]] if uuid in self._kept else []
        return ", ".join(reasons) or "free, but not enough for this request or kept for an earlier one"
