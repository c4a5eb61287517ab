"""What is in a vault: snapshots complete and not, found by what a person calls them, and removed.

A snapshot's folder is this product's own only if its name has the form of an id and it carries
the mark of one being written; nothing else in the vault's folder is ever removed.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from tablevault import names
from tablevault.errors import CannotComplete, LockedByRun, SnapshotUnusable, UsageError
from tablevault.model import SOME_ROWS, Snapshot
from tablevault.vault.manifest import check_snapshot_id, load_manifest, write_manifest
from tablevault.vault.proofs import forget
from tablevault.vault.store import Lock, Store

MARK = ".unfinished"  # there from before the first file of a snapshot until after its manifest
_SETTLED_WITHIN_S = 2.0
_DATE = re.compile(r"(?P<day>\d{4}-\d{2}-\d{2})(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2})?)Z?)?")
_ID = re.compile(r"\d{8}T\d{6}Z-[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Listed:
    """A snapshot's folder: either its manifest, or why there is none to be used."""

    id: str
    snapshot: Snapshot | None = None
    problem: SnapshotUnusable | None = None
    complete: bool = True  # False: there is no manifest

    @property
    def name(self) -> str | None:
        return self.snapshot.name if self.snapshot else None


class SnapshotBeingWritten:
    """The right to write a snapshot's files, held from the first file to the manifest.

    Leaving the context without `commit` removes what was written.
    """

    def __init__(self, store: Store, snapshot_id: str) -> None:
        self._store = store
        self.id = check_snapshot_id(snapshot_id)
        self._lock: Lock | None = store.lock(_lock_name(snapshot_id), owner_text())
        try:
            with store.create(f"{snapshot_id}/{MARK}") as file:
                file.write(owner_text().encode())
                file.commit()
        except BaseException:
            self.abandon()
            raise

    def commit(self, snapshot: Snapshot) -> None:
        """Write the manifest: from here on the snapshot exists."""
        write_manifest(self._store, snapshot)
        self._store.remove(f"{self.id}/{MARK}")
        self._release()

    def abandon(self) -> None:
        """Remove the remains; harmless after `commit` and when repeated."""
        if self._lock is not None:
            try:
                if not self._store.exists(f"{self.id}/{names.MANIFEST}"):
                    self._store.remove_tree(self.id, last=MARK)
            finally:
                self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> SnapshotBeingWritten:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()


def unused_snapshot_id(store: Store, name: str | None) -> str:
    """A fresh snapshot id that the vault does not hold: the second may have a namesake in it."""
    taken = set(store.folders())
    now = time.time()
    while (snapshot_id := names.new_snapshot_id(name, now)) in taken:
        now += 1
    return snapshot_id


def moment() -> float:
    """Now, as a manifest tells it: whole microseconds of Unix time.

    A double holds these exactly enough that each written digit counts: where one does not, a
    damaged one would not be noticed.
    """
    return round(time.time(), 6)


def begin_snapshot(store: Store, snapshot_id: str) -> SnapshotBeingWritten:
    """Reserve the id before its first file is written.  Raises LockedByRun."""
    return SnapshotBeingWritten(store, snapshot_id)


def list_snapshots(store: Store) -> list[Listed]:
    """Every snapshot in the vault, oldest first, the incomplete and unusable ones too.

    Reads manifests and nothing else; one that cannot be used does not hide the others.
    """
    return [
        _listed(store, folder) for folder in store.folders() if _is_snapshot_folder(store, folder)
    ]


def missing_manifests(store: Store) -> list[str]:
    """Folders that must have been complete snapshots and have lost their manifest.

    What was never completed, or is half removed, carries the mark.
    """
    return [
        folder
        for folder in store.folders()
        if _ID.fullmatch(folder) and not _is_snapshot_folder(store, folder)
    ]


def resolve(store: Store, text: str) -> Snapshot:
    """The snapshot that `text` means: an id, a name (the newest of it), `latest`, an id's start.

    A date means the newest of that day, a date and time the newest taken up to then; both in UTC,
    as ids are.

    Raises SnapshotUnusable: none such, several such, incomplete, or not readable by this version.
    """
    if _ID.fullmatch(text) and text in store.folders():
        return load_manifest(store, text)
    listed = list_snapshots(store)
    complete = [item for item in listed if item.complete]
    if text == "latest":
        whole = [item for item in complete if not _some_rows(item)]
        found = (whole or complete)[-1:]
    else:
        found = [item for item in listed if item.id == text]
        found = found or [item for item in complete if item.name == text][-1:]
        found = found or _of_date(text, complete)
        found = found or [item for item in listed if text and item.id.startswith(text)]
    if not found:
        raise _unknown(store, text, complete)
    if len(found) > 1:
        raise SnapshotUnusable(
            f"{text!r} may mean several snapshots: {', '.join(item.id for item in found[:4])}",
            hint="give more of the id",
        )
    return _usable(found[0])


def clean_leftovers(store: Store) -> list[str]:
    """Remove what snapshots that died have left behind; return their ids.

    Never touches a complete snapshot, one that a living run is writing, or a foreign folder.
    """
    return [
        folder
        for folder in store.folders()
        if _is_leftover(store, folder) and _clean(store, folder)
    ]


def remove_snapshot(
    store: Store, snapshot_id: str, agreed: Callable[[], bool] = lambda: True
) -> bool:
    """Remove a snapshot: the mark first, then the manifest; a half-removed one is a leftover.

    Not so, and False, when `agreed` says no once nobody else can begin to read it.
    Raises LockedByRun while it is being written or read.
    """
    if not _ID.fullmatch(snapshot_id):
        raise SnapshotUnusable(f"{snapshot_id!r} is not the id of a snapshot")
    with store.lock(_lock_name(snapshot_id), owner_text()):
        if not agreed():
            return False
        mark = f"{snapshot_id}/{MARK}"
        if not store.exists(mark):
            with store.create(mark) as file:
                file.write(owner_text().encode())
                file.commit()
        store.remove(f"{snapshot_id}/{names.MANIFEST}")
        store.remove_tree(snapshot_id, last=MARK)
        forget(store, snapshot_id)
        return True


@contextmanager
def reading(store: Store, snapshot_id: str) -> Iterator[None]:
    """Keep a snapshot from being removed while it is read.

    In a vault that cannot be written, or is full, nothing is held: reading comes first.
    Raises SnapshotUnusable when it was removed meanwhile, LockedByRun while it is being removed.
    """
    with ExitStack() as stack:
        with suppress(UsageError, CannotComplete):
            stack.enter_context(_share(store, snapshot_id))
        if not store.exists(f"{snapshot_id}/{names.MANIFEST}"):
            raise SnapshotUnusable(
                f"snapshot {snapshot_id} was removed a moment ago",
                hint="`tablevault list` shows what there is",
            )
        yield


def _share(store: Store, snapshot_id: str) -> Lock:
    """The shared lock; whoever has just written the snapshot is given time to let go of it."""
    deadline = time.monotonic() + _SETTLED_WITHIN_S
    while True:
        try:
            return store.lock(_lock_name(snapshot_id), owner_text(), shared=True)
        except LockedByRun:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def owner_text() -> str:
    """Who we are, for others who find our lock."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def _of_date(text: str, complete: list[Listed]) -> list[Listed]:
    """The newest whole snapshot of a day, or up to a moment; none for what is neither."""
    found = _DATE.fullmatch(text)
    if found is None:
        return []
    day, moment = found["day"].replace("-", ""), (found["time"] or "").replace(":", "")
    if not moment:
        fits = [item for item in complete if item.id.startswith(day)]
    else:
        until = f"{day}T{moment.ljust(6, '0')}Z"
        fits = [item for item in complete if item.id[: len(until)] <= until]
    whole = [item for item in fits if not _some_rows(item)]
    return (whole or fits)[-1:]


def _listed(store: Store, folder: str) -> Listed:
    complete = store.exists(f"{folder}/{names.MANIFEST}")
    try:
        return Listed(folder, snapshot=load_manifest(store, folder))
    except SnapshotUnusable as error:
        return Listed(folder, problem=error, complete=complete)


def _some_rows(item: Listed) -> bool:
    """Whether it is what a repair has saved: nobody means that by `latest`."""
    return item.snapshot is not None and SOME_ROWS in item.snapshot.features


def _usable(item: Listed) -> Snapshot:
    if item.snapshot is None:
        raise item.problem or SnapshotUnusable(f"snapshot {item.id} cannot be used")
    return item.snapshot


def _unknown(store: Store, text: str, complete: list[Listed]) -> SnapshotUnusable:
    if not complete:
        return SnapshotUnusable(
            f"there is no snapshot {text!r}: vault {store.uri} holds none",
            hint="take one with `tablevault snapshot`",
        )
    known = (
        ["latest"] + [item.id for item in complete] + [item.name for item in complete if item.name]
    )
    close = difflib.get_close_matches(text, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"the newest is {complete[-1].id}"
    return SnapshotUnusable(
        f"there is no snapshot {text!r} in vault {store.uri}",
        hint=f"{hint}; `tablevault list` shows all",
    )


def _is_snapshot_folder(store: Store, folder: str) -> bool:
    return store.exists(f"{folder}/{names.MANIFEST}") or _is_leftover(store, folder)


def _is_leftover(store: Store, folder: str) -> bool:
    if not _ID.fullmatch(folder) or store.exists(f"{folder}/{names.MANIFEST}"):
        return False
    # Killed between making the folder and committing the mark: nothing is in it that counts.
    return store.exists(f"{folder}/{MARK}") or _is_empty(store.list(folder))


def _is_empty(files: Iterator[tuple[str, int]]) -> bool:
    return next(files, None) is None


def _clean(store: Store, folder: str) -> bool:
    try:
        lock = store.lock(_lock_name(folder), owner_text())
    except LockedByRun:
        return False
    with lock:
        # It may have been committed between our look and our lock.
        if not _is_leftover(store, folder):
            return False
        store.remove_tree(folder, last=MARK)
        return True


def _lock_name(snapshot_id: str) -> str:
    return f"snapshot-{snapshot_id}"
