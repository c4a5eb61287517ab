"""A table by its tablespace: a staging table, the copy beside it, and IMPORT TABLESPACE.

The order is what keeps a server that is killed at any step able to start (docs/DESIGN.md, What a
file in the data directory may do): the copy gets a name that the server looks at only when it is
whole, on disk, and addressed to the staging table, and when a checkpoint lies behind the making
of that.  What is half done is never gone on with.
Nothing is believed of it: what follows is the proof that loaded rows go through.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tablevault.errors import (
    CannotComplete,
    ServerUnavailable,
    StatementFailed,
    TablevaultError,
    Unsupported,
)
from tablevault.mysql import server as servers
from tablevault.mysql import session as sessions
from tablevault.mysql import sql_tables, sql_tablespace
from tablevault.mysql.connect import Connection
from tablevault.ops.lane_checkpoint import bring_forward, passed, redo_position
from tablevault.ops.restore_proof import prove_definition
from tablevault.ops.restore_tasks import Lane, Room, TableJob
from tablevault.vault import placing
from tablevault.vault.pagezero import PageZero
from tablevault.vault.placing import Owner
from tablevault.vault.store import Store
from tablevault.vault.tablespace import TablespaceFacts, open_tablespace

MOST_TRIES = 2  # a server that dies of it twice is not asked a third time


@dataclass(frozen=True)
class Tools:
    """What a step works with.

    `note` journals one, on disk on return; `on_bytes` hears of what was written, and may raise;
    `on_written` of the end of that, before the server takes it in.
    """

    connection: Connection
    store: Store
    snapshot: str
    note: Callable[..., Any]
    on_bytes: Callable[[int], None]
    on_written: Callable[[], None]


def make_room(tools: Tools, job: TableJob) -> Room:
    """A staging table for the tablespace of `job`, whose own file is discarded.

    Raises Unsupported and CannotComplete where the server makes another table of it.
    """
    connection, note, lane = tools.connection, tools.note, job.lane
    assert lane is not None
    note("creating", staging=str(job.staging))
    note("placing", folder=str(lane.placement.folder), stem=lane.placement.stem)
    clear(connection, job)
    copy = open_tablespace(tools.store, tools.snapshot, job.entry).facts
    with sessions.defining(connection):
        connection.execute(job.staging_sql)
    prove_definition(connection, job)
    own, owner = _look(connection, job, lane)
    _require_alike(connection, job, own, copy)
    note("made", space=own.space_id)
    connection.execute(sql_tablespace.discard(job.staging))
    note("discarded")
    return Room(own.space_id, owner, redo_position(connection), connection.server)


def fill(room: Room | None, tools: Tools, job: TableJob) -> None:
    """Let the server hold the rows of `job` as the snapshot's tablespace has them, unproven.

    Without a `room`, or when the server was started again since, one is made first.  Raises
    what `on_bytes` raises, SnapshotUnusable for a copy that is damaged, CannotComplete for one
    that the server does not take.
    """
    connection, note, lane = tools.connection, tools.note, job.lane
    assert lane is not None
    if room is None or not servers.same_start(room.server, connection.server):
        room = make_room(tools, dataclasses.replace(job, replace_staging=True))
    at = lane.placement
    note("filling")
    source = open_tablespace(tools.store, tools.snapshot, job.entry)
    try:
        placing.write_waiting(
            at,
            lambda write: source.put(write, lane.threads),
            source.facts.size_bytes,
            room.owner,
            tools.on_bytes,
        )
        note("waiting")
        tools.on_written()
        placing.address(at, room.space_id)
        note("addressed")
        if bring_forward(connection, room.behind):
            note("checkpoint")
        placing.put_in_place(at, source.cfg, room.owner)
    except BaseException:
        with contextlib.suppress(TablevaultError):  # what nobody goes on with
            at.remove(in_place=False)
        raise
    note("in place")
    _take_in(connection, job)
    note("taken in")
    placing.drop_description(at)
    if not passed(connection, room.behind):
        raise CannotComplete(
            "the server made no checkpoint when it took in a tablespace: a crash could undo that"
        )
    _count_on(connection, job)
    note("created")


def clear(connection: Connection, job: TableJob) -> None:
    """Drop the staging table that a try before made, and remove the files that it left.

    MySQL leaves the file of a discarded table when that is dropped, and makes none of its name
    then.
    """
    if job.replace_staging:
        connection.execute(sql_tables.drop_table(job.staging))
    for placement in job.strewn:
        placement.remove()


def may_be_lost(job: TableJob, error: Exception, tries: int) -> bool:
    """Whether `error`, after so many tries, means that the table is to come by its rows.

    What may pass is tried again; what the person asked for by name is not replaced.
    """
    if job.lane is None or job.lane.strict:
        return False
    passing = isinstance(error, ServerUnavailable) or (
        isinstance(error, StatementFailed) and error.transient
    )
    return not passing or tries >= MOST_TRIES


def _look(connection: Connection, job: TableJob, lane: Lane) -> tuple[PageZero, Owner]:
    """The staging table's own file: that it is where we see it proves whose folder that is.

    Its id stands in it for certain only when it is flushed: MariaDB has zeros there at first.
    """
    connection.execute(sql_tablespace.flush_for_export(job.staging))
    try:
        own, owner = placing.look(lane.placement)
    finally:
        if not connection.closed:
            connection.execute(sql_tablespace.UNLOCK)
    row = connection.one(sql_tablespace.space_id(job.staging, connection.server.family))
    if row is None or int(row[0] or 0) != own.space_id:
        raise Unsupported(
            f"{lane.placement.tablespace} is not the file of {job.staging}",
            hint="is the server's data directory mounted elsewhere here?",
        )
    return own, owner


def _require_alike(
    connection: Connection, job: TableJob, own: PageZero, copy: TablespaceFacts
) -> None:
    """Raise Unsupported when the server lays out such a table otherwise than the copy is."""
    row = connection.one(sql_tablespace.row_format(job.staging))
    row_format = (row[0] or b"").decode().lower() if row else ""
    for what, here, there in (
        ("pages of", f"{own.page_bytes} bytes", f"{copy.page_bytes} bytes"),
        ("row format", row_format, copy.row_format),
    ):
        if here != there:
            raise Unsupported(
                f"the server makes {job.entry.definition.table} with {what} {here}, the snapshot's "
                f"tablespace has {there}"
            )


def _take_in(connection: Connection, job: TableJob) -> None:
    done = connection.execute(sql_tablespace.take_in(job.staging))
    if done.warnings:
        raise CannotComplete(
            f"the server took in the tablespace of {job.entry.definition.table} with a warning: "
            + "; ".join(connection.warnings())
        )


def _count_on(connection: Connection, job: TableJob) -> None:
    """Go on counting where the snapshot's table would have.  Raises CannotComplete."""
    issued = job.entry.definition.auto_increment
    if issued is None or issued <= 1:
        return
    connection.execute(sql_tables.set_auto_increment(job.staging, issued))
    row = connection.one(sql_tables.next_auto_increment(job.staging))
    if row is None or int(row[0] or 0) < issued:
        raise CannotComplete(f"{job.staging} does not go on counting at {issued}")
