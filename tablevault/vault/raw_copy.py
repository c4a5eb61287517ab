"""Whole files of somebody else, brought beside the vault's own as fast as the system can.

By reference where the file system makes copies of that kind, else by the kernel, which reads and
writes without the bytes coming by here.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable

from tablevault.errors import CannotComplete

_FICLONE = 0x40049409  # linux/fs.h: the target shares the source's blocks
_STEP_BYTES = 8 << 20  # after which it looks whether to stop
_NOT_HERE = frozenset({errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF})


def clone(source: int, target: int) -> bool:
    """Make `target`, an empty file, a copy of `source` by reference; False where that cannot be."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def copy(
    source: int,
    target: int,
    size_bytes: int,
    on_bytes: Callable[[int], None],
    stopped: Callable[[], bool],
) -> bool:
    """Copy so many bytes from the start of `source`; False when it was stopped before their end.

    Raises OSError, and CannotComplete when the source is shorter.
    """
    done, in_kernel = 0, True
    while done < size_bytes:
        if stopped():
            return False
        step = min(_STEP_BYTES, size_bytes - done)
        if in_kernel:
            try:
                copied = os.copy_file_range(source, target, step, done, done)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                copied = 0
            in_kernel = copied > 0
        if not in_kernel:
            os.lseek(target, done, os.SEEK_SET)
            copied = os.sendfile(target, source, done, step)
            if not copied:
                raise CannotComplete("the file became shorter while it was copied")
        done += copied
        on_bytes(copied)
    return True
