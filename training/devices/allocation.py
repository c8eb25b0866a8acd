"""Who gets which device: a pure function of what is held, who waits since when, and what can be used.

First come, first served: a request never takes what an earlier waiting request could use, so that one for four GPUs
does not starve behind many for one. A request that could not start even if all leases ended (because programs outside
the leases use its devices) blocks no other.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

# Devices by UUID, each with the memory taken of it in MiB; None: the whole device, not shared.
Holding = Mapping[str, Annotated[int, Ge(1), Le(2**40)] | None]


@dataclass(frozen=True)
class Wish:
    """What one request would be content with.

    Args:
        count: how many devices, all or nothing.
        candidates: the devices that would do, in order of preference, with the memory wanted of each.
        force: also devices that programs outside the leases use.
        text: the wish for people: "2 GPUs".
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
    """The devices that a request gets now, or None when it must wait.

    Args:
        earlier: the requests that wait for longer, oldest first; read only as far as needed.
        held: what all leases hold.
        capacity_mib: memory to share out, by device; 0 where it is unknown, then a device is only given whole.
        usable: whether a wish may use a device, leases aside.
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
        # The fullest device that still has room first: whole devices stay whole for those who need one.
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
            take(chosen)  # it will be there at its next look
            continue
        # Its devices are kept for it, provided that leases are all that stands in its way.
        hoped_for = [uuid for uuid in other.candidates if usable(uuid, other)]
        if len(hoped_for) >= other.count:
            closed.update(hoped_for)
    return None
