"""Working off a board: the build that a restore and a drill have in common.

Loaders, their connections in the journal before they do anything, and what is ended on the server
when the build ends early.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from tablevault.events import Reporter
from tablevault.model import Snapshot
from tablevault.mysql import session as sessions
from tablevault.mysql.connect import Connection, ConnectOptions, Purpose, connect
from tablevault.ops import remains
from tablevault.ops.options import RestoreOptions
from tablevault.ops.restore_board import Board
from tablevault.ops.restore_crew import Crew
from tablevault.ops.restore_tasks import TableJob
from tablevault.ops.restore_worker import Loader
from tablevault.ops.running import aside
from tablevault.ops.runs import replay
from tablevault.ops.surroundings import around
from tablevault.ops.terms import Terms
from tablevault.vault.journal import Journal
from tablevault.vault.store import Store


@dataclass(frozen=True)
class Building:
    """What the steps of a restore work with, up to its proof."""

    target: ConnectOptions
    store: Store
    snapshot: Snapshot
    jobs: tuple[TableJob, ...]
    options: RestoreOptions
    journal: Journal
    reporter: Reporter
    terms: Terms


def work_off(site: Building, board: Board) -> None:
    """All of the board, by a crew; whatever ends it early ends its statements on the server too."""
    reporter = site.reporter
    with ExitStack() as stack:
        try:
            loaders = aside(reporter, "opening connections", lambda: _open_loaders(site, stack))
            surroundings = aside(
                reporter,
                "looking at disks and replicas",
                lambda: around(site.target, site.options).looked(),
            )
            Crew(
                board,
                loaders,
                reporter,
                site.options,
                lambda: connect(site.target),
                surroundings,
                site.journal.path.with_name("stacks.txt"),
            ).run()
            aside(reporter, "closing connections", stack.close)
        except BaseException:
            reporter.begin_phase("stopping", "ending what still runs on the server")
            left = replay(reporter.run, site.journal.entries)
            aside(
                reporter,
                "ending what still runs on the server",
                lambda: remains.end_quietly(site.target, left),
            )
            raise


def _open_loaders(site: Building, stack: ExitStack) -> list[Loader]:
    """One worker a thread; the id of every connection is journalled before it does anything."""

    def open_connection() -> Connection:
        connection = connect(site.target, Purpose.LOAD, no_binlog=not site.options.log_bin)
        server = connection.server
        sessions.unchecked(connection)
        site.journal.append(
            "connections",
            ids=[connection.id],
            server_started=server.started_at,
            server_uuid=server.uuid,
        )
        return connection

    loaders = []
    for _ in range(site.options.threads):
        loader = Loader(
            open_connection,
            site.store,
            site.snapshot.id,
            site.journal,
            site.terms,
        )
        stack.callback(loader.close)
        loaders.append(loader)
    return loaders
