"""Dropping what a run has left on the server, and nothing that anything still leans on."""

from __future__ import annotations

import time

from tablevault.errors import CannotComplete, LockNotGranted, StatementFailed
from tablevault.model import TableName
from tablevault.mysql import relations, sql_tables
from tablevault.ops.hands import NOT_NOW
from tablevault.ops.site import Site

_PAUSE_S = 0.5


def drop_leftovers(site: Site) -> list[TableName]:
    """Drop staging, kept, undone and trial tables of a run that are there; return which.

    Raises CannotComplete before any is dropped when a foreign key references one of them.
    """
    state, main = site.state, site.hands.main
    going = [
        name
        for number, table in enumerate(state.tables)
        if number in state.creating  # else the run never reached it: the name is not ours
        for name in (table.staging, table.kept, table.undone)
        if relations.exists(main, name)
    ]
    going += [name for name in sorted(state.trials) if relations.exists(main, name)]
    for name in going:
        for link in relations.links_to(main, name):
            if link.child not in going:
                raise CannotComplete(
                    f"{name} cannot be dropped: foreign key {link} references it",
                    hint=f"drop that foreign key, or let it reference the live table; then "
                    f"`tablevault cleanup {state.run}` again",
                )
    for name in going:
        _drop(site, name)
    return going


def _drop(site: Site, name: TableName) -> None:
    hands = site.hands
    began = time.monotonic()
    while True:
        try:
            hands.run(hands.main, f"dropping {name}", sql_tables.drop_table(name))
            return
        except StatementFailed as error:
            waited_s = time.monotonic() - began
            if error.errno not in NOT_NOW:
                raise
            blockers = hands.blockers(hands.looker)
            if waited_s > site.wishes.lock_wait_s:
                by = f" by {'; '.join(blockers)}" if blockers else ""
                raise LockNotGranted(
                    f"{name} was in use for {waited_s:.0f} s{by}",
                    hint="end those sessions, then run `cleanup` again",
                ) from None
            hands.narrator.doing(f"dropping {name}", began, blockers)
            time.sleep(_PAUSE_S)
