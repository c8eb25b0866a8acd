"""Whether a device may be leased, apart from leases: its health, and its use by programs without a lease."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from training.devices.allocation import Wish
from training.devices.device import Reading
from training.devices.lease_records import Entry
from training.files import processes

# Some of an idle device's memory may appear as used; the context of a CUDA program takes more than this.
_IDLE_MIB = 128


@dataclass(frozen=True)
class Verdict:
    """The assessment of a device.

    Args:
        reason: why it is not leased, as the end of a sentence "GPU 0 is …"; None if it may be.
        forcible: whether a forced request gets it anyway.
        lasting: whether waiting cannot help.
        spare_mib: memory available to leases; 0 if unknown.
        one_process: whether it allows only one process, so that it cannot be shared.
    """

    reason: str | None = None
    forcible: bool = False
    lasting: bool = False
    spare_mib: int = 0
    one_process: bool = False

    def obstacle(self, wish: Wish) -> str | None:
        """Why a wish cannot have the device, apart from leases."""
        if self._is_closed_to(wish):
            return self.reason
        if self._cannot_be_shared_for(wish):
            return "not shareable: its compute mode is 'exclusive process' (nvidia-smi -c 0 changes that)"
        return None

    def is_final_for(self, wish: Wish) -> bool:
        """Whether a wish can never have the device."""
        return self.lasting if self._is_closed_to(wish) else self._cannot_be_shared_for(wish)

    def _is_closed_to(self, wish: Wish) -> bool:
        return self.reason is not None and not (self.forcible and wish.force)

    def _cannot_be_shared_for(self, wish: Wish) -> bool:
        return self.one_process and any(memory_mib is not None for memory_mib in wish.candidates.values())


def judge(reading: Reading, leases: Sequence[Entry], quarantined: str | None) -> Verdict:
    """Assesses a device. What is unknown counts against it.

    Args:
        leases: leases on the device or a part of it; a lease on another device does not justify using this one.
        quarantined: the reason, if it is in quarantine.
    """
    if quarantined is not None:
        repaired = f"text-recognizer gpus --clear-quarantine {reading.device.uuid}"
        return Verdict(f"in quarantine: {quarantined} (when it is repaired: {repaired})", lasting=True)
    if reading.fault is not None:
        return Verdict(f"broken: {reading.fault}", lasting=True)
    if reading.compute_mode == "prohibited":
        return Verdict("closed to programs: its compute mode is 'prohibited' (nvidia-smi -c 0 opens it)", lasting=True)
    one_process = reading.compute_mode == "exclusive process"
    reason, is_lasting, spare_mib = _use(reading, leases)
    if reason is None:
        return Verdict(spare_mib=spare_mib, one_process=one_process)
    return Verdict(f"{reason} (--gpu-force takes it anyway)", True, is_lasting, spare_mib, one_process)


def is_covered(pid: int, leases: Sequence[Entry]) -> bool:
    """Whether a process is the holder of one of these leases, its descendant, or inherited the lease."""
    here = processes.pid_namespace()
    holders = {entry.record.pid: entry.record.started for entry in leases if entry.record.namespace == here}
    for ancestor in processes.ancestry(pid):
        if ancestor in holders and holders[ancestor] in (None, processes.started_at(ancestor)):
            return True
        if any(processes.has_open(ancestor, entry.device_and_inode) for entry in leases):
            return True
    return False


def _use(reading: Reading, leases: Sequence[Entry]) -> tuple[str | None, bool, int]:
    """Actual or possible use of a device without a lease; whether that lasts; the remaining memory in MiB."""
    memory_mib = reading.device.memory_mib or 0
    if reading.processes is None:
        return f"in unknown use: {reading.cannot_tell}", reading.never_tells, memory_mib
    foreign = [pid for pid in reading.processes if pid != os.getpid() and not is_covered(pid, leases)]
    if foreign:
        users = ", ".join(map(processes.described, foreign))
        amounts = [reading.processes[pid] for pid in foreign]
        taken_mib = (reading.used_mib or memory_mib) if None in amounts else sum(filter(None, amounts))
        return f"used without a lease by {users}", False, max(0, memory_mib - taken_mib)
    if processes.sees_all_processes():
        return None, False, memory_mib
    # In a container, NVML may not list other processes, but their memory is visible.
    if reading.used_mib is None:
        reason = "in unknown use: a container hides processes, and NVML does not report the memory in use"
        return reason, True, memory_mib
    claims = (entry.holds.get(reading.device.uuid) for entry in leases)
    hidden_mib = reading.used_mib - sum(memory_mib if claim is None else claim for claim in claims)
    if hidden_mib <= _IDLE_MIB:
        return None, False, memory_mib
    reason = f"used by processes that are not visible from this container ({hidden_mib:,} MiB)"
    return reason, False, max(0, memory_mib - hidden_mib)
