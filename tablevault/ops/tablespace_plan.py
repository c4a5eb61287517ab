"""Which tablespaces a snapshot is to keep: what the server has, and what this machine can copy.

Nothing is locked yet.  What would not fit into the time that tables may be locked, or into the
vault, is left out here, so that nobody waits for a copy that is given up in the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from tablevault.errors import TablevaultError, UsageError
from tablevault.model import TableDef, TableName
from tablevault.mysql import tablespaces
from tablevault.mysql.connect import Connection
from tablevault.mysql.locks import LockMode
from tablevault.mysql.tablespaces import Tablespace
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.tablespace_copies import Copy, TablespaceCopies, size, stamp
from tablevault.vault import raw_copy
from tablevault.vault.store import Store

_TRIAL_BYTES = 32 << 20  # copied once before, to know how fast it goes


def require_possible(options: SnapshotOptions) -> None:
    """Raise UsageError for options that do not go together."""
    if options.lock == LockMode.EXPORT:
        raise UsageError("the lock of an export is not to be chosen", hint="use --tablespace")
    if not options.tablespace:
        return
    if options.where is not None:
        raise UsageError(
            "--tablespace cannot go with --where: a tablespace holds all rows of its table"
        )
    if options.lock != LockMode.AUTO:
        raise UsageError(
            f"--tablespace cannot go with --lock {options.lock}: it takes a lock of its own",
            hint="leave --lock out",
        )


def plan_copies(
    store: Store,
    snapshot: str,
    control: Connection,
    definitions: Sequence[TableDef],
    options: SnapshotOptions,
) -> TablespaceCopies:
    """Look which tablespaces can be kept; a few questions to the server, one file tried out."""
    found = tablespaces.find(control, definitions)
    copies = TablespaceCopies(store, snapshot, control.server, options, [])
    reasons = dict(found.reasons)
    for one in found.tablespaces:
        try:
            copies.copies.append(_copy(one))
        except OSError as error:
            reasons[one.table] = _unreadable(error)
    copies.leave_out({one.table: reasons[one.table] for one in definitions if one.table in reasons})
    if not copies.copies:
        return copies
    largest = max(copies.copies, key=lambda copy: copy.size_bytes)
    try:
        rate_bytes_s = _try_out(copies, largest)
    except (OSError, TablevaultError) as error:
        copies.give_up(f"a trial copy failed: {error}")
        return copies
    if not copies.by_reference:
        copies.leave_out(_too_much(copies, rate_bytes_s))
    if copies.copies:
        copies.notice = _notice(copies, rate_bytes_s)
    return copies


def why_unreadable(one: Tablespace) -> str | None:
    """Why this process cannot copy the file, if it cannot."""
    try:
        _copy(one)
    except OSError as error:
        return _unreadable(error)
    return None


def _unreadable(error: OSError) -> str:
    return f"its file cannot be read here: {error.strerror or error}"


def _copy(one: Tablespace) -> Copy:
    """Raises OSError for a file that this account cannot read, or that is not on this machine."""
    path = Path(one.file)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size_bytes = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    os.scandir(path.parent).close()  # the .cfg will lie there, too
    return Copy(one, path, size_bytes, stamp(path.with_suffix(".cfg")))


def _try_out(copies: TablespaceCopies, copy: Copy) -> float:
    """Bytes a second that are copied, as far as the beginning of one file shows."""
    scratch = copies.store.scratch(copies.snapshot)
    source, target = os.open(copy.path, os.O_RDONLY | os.O_CLOEXEC), scratch.open()
    try:
        copies.by_reference = raw_copy.clone(source, target)
        if copies.by_reference:
            return float("inf")
        trial_bytes = min(_TRIAL_BYTES, copy.size_bytes)
        began_s = time.monotonic()
        raw_copy.copy(source, target, trial_bytes, lambda more: None, lambda: False)
        return trial_bytes / max(1e-6, time.monotonic() - began_s)
    finally:
        os.close(source)
        os.close(target)
        scratch.discard()


def _too_much(copies: TablespaceCopies, rate_bytes_s: float) -> dict[TableName, str]:
    """What would not fit beside the smaller ones, into the lock's time or into the vault."""
    limit_s, free_bytes = copies.options.tablespace_lock_s, copies.store.free_bytes()
    reasons: dict[TableName, str] = {}
    sum_bytes = 0
    for copy in sorted(copies.copies, key=lambda copy: copy.size_bytes):
        after = sum_bytes + copy.size_bytes
        if after / rate_bytes_s > limit_s:
            reasons[copy.table] = (
                f"with its {size(copy.size_bytes)} copying takes about "
                f"{after / rate_bytes_s:.0f} s, and --tablespace-lock allows {limit_s:g} s"
            )
        elif free_bytes is not None and after > free_bytes:
            reasons[copy.table] = (
                f"the vault has {size(free_bytes)} free, and no room for a copy of its "
                f"{size(copy.size_bytes)}"
            )
        else:
            sum_bytes = after
    return reasons


def _notice(copies: TablespaceCopies, rate_bytes_s: float) -> str:
    count, bytes_total = len(copies.copies), copies.bytes_total
    what = f"{count} tablespace" if count == 1 else f"{count} tablespaces"
    how = f"in about {_seconds(bytes_total / rate_bytes_s)}"
    if copies.by_reference:
        how = "by reference, at once"
    return (
        f"{what}, {size(bytes_total)}, will be copied under the snapshot's lock, {how}, "
        f"{copies.options.tablespace_lock_s:g} s at most: who writes to these tables waits, who "
        "reads goes on"
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 1 else "a second"
