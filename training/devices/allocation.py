"""Allocation of devices: a pure function of leases, waiting requests and usable devices.

First come, first served: a request never takes devices that an earlier waiting request could use, so that a request for
four GPUs does not starve behind many for one. A request that could not start even if all leases ended (because programs
without a lease use its devices) does not block others.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

# Devices by UUID, with the allocated memory in MiB; None: the whole device, exclusively.
Holding = Mapping[str, Annotated[int, Ge(1), Le(2**40)] | None]


@dataclass(frozen=True)
class Wish:
    """The devices that would satisfy a request.

    Args:
        count: number of devices, all or nothing.
        candidates: suitable devices in order of preference, with the memory needed on each.
        force: also use devices that are used by programs without a lease.
        text: the wish in words: "2 GPUs".
    """

    count: Annotated[int, Ge(1)]
    candidates: Holding
    force: bool
    text: str


def allocate(
    wish: Wish,
    earlier: Iterable[Wish],
    held: Iterable[Holding],
    capacity_mib: Mapping[str, int],
    usable: Callable[[str, Wish], bool],
) -> dict[str, int | None] | None:
    """The devices that a request gets now, or None if it must wait.

    Args:
        earlier: earlier waiting requests, oldest first; read only as far as needed.
        held: devices held by all leases.
        capacity_mib: memory that can be shared, by device; 0 if unknown: then a device is only allocated whole.
        usable: whether a wish may use a device, apart from leases.
    """
    left_mib, shared, closed = dict(capacity_mib), set[str](), set[str]()

    def take(holding: Holding) -> None:
        for uuid, memory_mib in holding.items():
            (closed if memory_mib is None else shared).add(uuid)
            left_mib[uuid] = left_mib.get(uuid, 0) - (memory_mib or 0)

    def fits(uuid: str, memory_mib: int | None) -> bool:
        has_room = uuid not in shared if memory_mib is None else memory_mib <= left_mib.get(uuid, 0)
        return has_room and uuid not in closed

    def choose(wish: Wish) -> dict[str, int | None] | None:
        fitting = [uuid for uuid, size in wish.candidates.items() if fits(uuid, size) and usable(uuid, wish)]
        if len(fitting) < wish.count:
            return None
        # Best fit: the fullest device with enough memory first, so that whole devices stay available.
        fitting.sort(key=lambda uuid: 0 if wish.candidates[uuid] is None else left_mib.get(uuid, 0))
        chosen = fitting[: wish.count]
        return {uuid: memory_mib for uuid, memory_mib in wish.candidates.items() if uuid in chosen}

    for holding in held:
        take(holding)
    requests = iter(earlier)
    while len(wish.candidates.keys() - closed) >= wish.count:
        other = next(requests, None)
        if other is None:
            return choose(wish)
        if (chosen := choose(other)) is not None:
            take(chosen)  # it will take them when it next checks
            continue
        # Its devices are reserved for it if only leases are in its way.
        hoped_for = [uuid for uuid in other.candidates if usable(uuid, other)]
        if len(hoped_for) >= other.count:
            closed.update(hoped_for)
    return None
