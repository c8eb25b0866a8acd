"""How much a packed file may unpack to: real data packs a few times, a thousand times is an attack or a mistake."""

from text_recognizer.errors import DataError

_ALWAYS_BYTES = 1 << 26
MOST_TIMES = 32


def most_unpacked_bytes(packed_bytes: int, times: int = MOST_TIMES) -> int:
    """What may come out of so many bytes."""
    return max(_ALWAYS_BYTES, times * packed_bytes)


def check_unpacked(name: str, unpacked_bytes: int, packed_bytes: int, times: int = MOST_TIMES) -> None:
    """Refuses a size that a file announces before it is allocated. Raises DataError: more than so many times."""
    if unpacked_bytes > most_unpacked_bytes(packed_bytes, times):
        raise DataError(
            f"{name} unpacks to {unpacked_bytes:,} bytes, more than {times} times the {packed_bytes:,} on the disk: "
            f"it is damaged, or made to exhaust memory. If it is valid, unpack it by hand and give the result."
        )
