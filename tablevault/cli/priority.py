"""Stepping back: a process that others on the machine go before, at the processor and the disk."""

from __future__ import annotations

import ctypes
import os
import platform

_NICE = 10
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}  # the kernel's numbers; libc has no name for it
_OF_A_PROCESS = 1
_IDLE = 3 << 13  # reads only what nobody else wants to, under a scheduler that knows priorities


def step_back() -> bool:
    """Lower this thread's priorities, and those of the threads it starts from here on.

    False where the disk's cannot be lowered: that is no reason not to work.
    """
    os.nice(_NICE)
    number = _IOPRIO_SET.get(platform.machine())
    if number is None or not hasattr(os, "sched_getscheduler"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(number, _OF_A_PROCESS, 0, _IDLE)) == 0
