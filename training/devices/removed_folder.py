"""Leases that are still held although their folder was removed, and perhaps made again.

Besides the files in it, a lease locks one byte of the folder *around* the lock folder for each of its devices, for
reading. No user can remove that lock. The byte's number encodes the lock folder's inode: a locked byte of another inode
means that the device is held under a folder that is gone. These are locks of open files
(F_OFD_SETLK), which a child inherits; a folder cannot be locked for writing so, but asked whether it could be.
"""

import contextlib
import fcntl
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

# struct flock of 64-bit Linux: type, whence, start, length, process.
_FLOCK = struct.Struct("hhqqi4x")
_INODE_BITS = 30


def hold(folder: Path, opened: int, uuids: Iterable[str]) -> list[int]:
    """Locks that say that these devices are held under a folder; they last as long as the descriptors returned.

    Where the folder around cannot be read, or its file system has no such locks, there are none.

    Args:
        opened: the folder's descriptor. A copy is returned too: a folder that is open keeps its inode for itself, and
            one that is locked is left alone by systemd-tmpfiles.
    """
    descriptors = [os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=opened)]
    with contextlib.suppress(OSError):
        fcntl.flock(descriptors[0], fcntl.LOCK_SH | fcntl.LOCK_NB)
    with contextlib.suppress(OSError):
        descriptors.append(os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for uuid in uuids:
            byte = _first_byte(folder, uuid) + _inode(opened)
            fcntl.fcntl(descriptors[1], fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0))
    return descriptors


def holds(folder: Path, opened: int, uuid: str) -> bool:
    """Whether a lease holds a device under a folder that was here before this one."""
    try:
        around = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        first, own = _first_byte(folder, uuid), _inode(opened)
        after = first + own + 1
        return _is_locked(around, first, own) or _is_locked(around, after, (1 << _INODE_BITS) - own - 1)
    finally:
        os.close(around)


def _first_byte(folder: Path, uuid: str) -> int:
    # Equal sums of two names only keep a device from being given out while a removed folder's lease is held.
    return (zlib.crc32(folder.name.encode()) & 0xFFF) << 50 | (zlib.crc32(uuid.encode()) & 0xFFFFF) << _INODE_BITS


def _inode(opened: int) -> int:
    return os.fstat(opened).st_ino & ((1 << _INODE_BITS) - 1)


def _is_locked(around: int, first: int, count: int) -> bool:
    if count == 0:  # would mean: to the end
        return False
    question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, first, count, 0)
    try:
        kind, *_ = _FLOCK.unpack(fcntl.fcntl(around, fcntl.F_OFD_GETLK, question))
    except OSError:
        return False
    return bool(kind != fcntl.F_UNLCK)
