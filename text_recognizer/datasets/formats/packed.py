"""Limits on decompression: real data has a ratio of a few, a ratio of a thousand is an attack or a mistake."""

from text_recognizer.errors import DataError

_ALWAYS_BYTES = 1 << 26
MOST_TIMES = 32


def most_unpacked_bytes(packed_bytes: int, times: int = MOST_TIMES) -> int:
    """The most bytes that so many compressed bytes may unpack to."""
    return max(_ALWAYS_BYTES, times * packed_bytes)


def check_unpacked(name: str, unpacked_bytes: int, packed_bytes: int, times: int = MOST_TIMES) -> None:
    """Checks a size announced by a file before it is allocated. Raises DataError: the ratio is too large."""
    if unpacked_bytes > most_unpacked_bytes(packed_bytes, times):
        raise DataError(
            f"{name} unpacks to {unpacked_bytes:,} bytes, more than {times} times the {packed_bytes:,} on the disk: "
            f"it is damaged, or made to exhaust memory. If it is valid, unpack it by hand and give the result."
        )
