"""Who is at work in a vault on which tables: claims, each a locked file that says so.

A claim holds as long as its file is locked, by the process that took it or by a child that was
given the lock; so it ends with them, however they end.  A file that nobody locks was left by one
that died, and is removed by the next who looks.  Looking and taking happen under one lock.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tablevault.errors import LockedByRun, TablevaultError
from tablevault.vault.handles import Lock
from tablevault.vault.store import LOCKS, MissingFile, Store

_PREFIX = "job-"
_LOOKING = "jobs"  # the lock under which claims are looked at and taken
_LOOK_WITHIN_S = 10.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Claim:
    """What somebody says of himself; `groups` are lists of table patterns, `since` Unix seconds."""

    name: str  # of its lock
    job: str
    host: str
    user: str
    pid: int
    boot: str
    since: float
    groups: tuple[tuple[str, ...], ...] = ()

    def __str__(self) -> str:
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.since))
        return f"job {self.job}, process {self.pid} of {self.user} on {self.host}, since {began}"

    @property
    def process_gone(self) -> bool:
        """Whether its process is known to have ended: only this machine's, of this boot, can be."""
        if self.host != os.uname().nodename:
            return False
        if self.boot != boot_id():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


@dataclass
class Taken:
    """Our own claim, held; `left` are those that the dead had left, removed now."""

    name: str
    lock: Lock
    store: Store
    left: list[Claim] = field(default_factory=list)

    def __enter__(self) -> Taken:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go, while nobody looks: who looked between would take us for one that died."""
        with ExitStack() as stack:
            with suppress(TablevaultError):
                stack.enter_context(_looking(self.store))
            self.lock.release()


def take(
    store: Store,
    job: str,
    user: str,
    groups: tuple[tuple[str, ...], ...],
    agree: Callable[[Claim], None],
) -> Taken:
    """Claim tables for a job; `agree` is asked of each other claim and raises LockedByRun."""
    with _looking(store):
        living, left = _all(store)
        for claim in living:
            agree(claim)
        name = f"{_PREFIX}{secrets.token_hex(8)}"
        uname = os.uname().nodename
        claim = Claim(name, job, uname, user, os.getpid(), boot_id(), time.time(), groups)
        # the first line is for people, the second one for us
        lock = store.lock(name, f"{claim}\n{json.dumps(_record(claim))}")
    return Taken(name, lock, store, left)


def at_work(store: Store) -> list[Claim]:
    """The claims that hold."""
    with _looking(store):
        return _all(store)[0]


def boot_id() -> str:
    """What tells one boot of this machine from the next; empty where nothing does."""
    with suppress(OSError):
        return _BOOT.read_text().strip()
    return ""


def _all(store: Store) -> tuple[list[Claim], list[Claim]]:
    """Claims that hold, and those of the dead, whose files are removed."""
    living: list[Claim] = []
    dead: list[Claim] = []
    for path, _ in store.list(LOCKS):
        name = path.removeprefix(f"{LOCKS}/")
        if not name.startswith(_PREFIX):
            continue
        try:
            claim = _read(name, store.read(path))
        except MissingFile:  # it has ended meanwhile
            continue
        try:
            store.lock(name, "").release()  # which removes the file
            dead.append(claim)
        except LockedByRun:
            living.append(claim)
    return living, dead


def _looking(store: Store) -> Lock:
    deadline = time.monotonic() + _LOOK_WITHIN_S
    while True:
        try:
            return store.lock(_LOOKING, f"process {os.getpid()}, looking who is at work")
        except LockedByRun:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _record(claim: Claim) -> dict[str, Any]:
    return {key: value for key, value in vars(claim).items() if key != "name"}


def _read(name: str, content: bytes) -> Claim:
    """A claim; what cannot be read claims every table, and its holder is not known."""
    try:
        found: Mapping[str, Any] = json.loads(content.decode("utf-8").split("\n", 1)[1])
        return Claim(
            name,
            str(found["job"]),
            str(found["host"]),
            str(found["user"]),
            int(found["pid"]),
            str(found["boot"]),
            float(found["since"]),
            tuple(tuple(str(word) for word in group) for group in found["groups"]),
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return Claim(name, "unknown", "unknown", "unknown", 0, "", 0.0, (("*",),))
