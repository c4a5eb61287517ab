"""Dropping what a run has left on the server, and nothing that anything still leans on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from tablevault.errors import CannotComplete
from tablevault.model import TableName
from tablevault.mysql import relations, scratch, sql_tables
from tablevault.ops.site import Site
from tablevault.ops.turns import patiently


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
    for link in relations.links_to(main, going):
        if link.child not in going:
            raise CannotComplete(
                f"{link.parent} cannot be dropped: foreign key {link} references it",
                hint=f"drop that foreign key, or let it reference the live table; then "
                f"`tablevault cleanup {state.run}` again",
            )
    for name in going:
        _drop(site, name, [name], sql_tables.drop_table(name))
    # only now: what bears the name of a table that is there is that table's
    for placement in chain.from_iterable(state.strewn.values()):
        placement.remove()
    return going


def drop_scratch(site: Site) -> None:
    """Drop the schemas that a drill has made, once they are bare.

    Raises CannotComplete for one that holds what is not the drill's.
    """
    main = site.hands.main
    for schema in sorted(site.state.scratch):
        if not scratch.exists(main, schema):
            continue
        others = scratch.held(main, schema)
        if others:
            raise CannotComplete(
                f"schema {schema} holds {', '.join(others[:5])}, which is not of run "
                f"{site.state.run}: it was not dropped",
                hint="look whose it is and drop it; then "
                f"`tablevault cleanup {site.state.run}` again",
            )
        _drop(site, schema, [], scratch.drop_statement(schema))


def _drop(site: Site, what: TableName | str, tables: Sequence[TableName], statement: str) -> None:
    hands = site.hands
    patiently(
        hands,
        tables,
        site.wishes.lock_wait_s,
        f"dropping {what}",
        lambda: hands.run(hands.main, f"dropping {what}", statement),
        then="run `cleanup` again",
    )
