"""A server's data directory, looked at from outside."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

_SYSTEM_TABLESPACE = "ibdata1"
_FLOCK = "hhqqi"  # type, whence, start, length, process


def in_use(folder: Path) -> bool:
    """Whether a server has the data directory open; what cannot be told counts as yes.

    InnoDB holds a lock on its system tablespace for as long as it runs.
    """
    try:
        descriptor = os.open(folder / _SYSTEM_TABLESPACE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, asked)
        return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)
    except OSError:
        return True
    finally:
        os.close(descriptor)
