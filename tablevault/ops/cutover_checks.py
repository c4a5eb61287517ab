"""What is looked at before a cut-over and after it: rows that would be lost, or lose their parents.

Every look is bounded in time; what could not be told in it is said, and never taken for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tablevault.errors import CannotComplete, ConsentNeeded, Unsupported
from tablevault.model import Finding, Key, TableDef, TableName
from tablevault.mysql import catalog, ddl, ddl_spelling, keysets, relations, sql_tables, triggers
from tablevault.mysql.connect import Connection
from tablevault.mysql.keysets import SeenKeys
from tablevault.mysql.relations import Link, Orphans
from tablevault.ops.cutover_plan import Plan
from tablevault.ops.hands import Hands
from tablevault.ops.runs import RunState
from tablevault.ops.sequence_values import SequenceValues

COUNT_S = 30.0  # how long rows of one table are counted before a cut-over
ORPHANS_S = 600.0  # and looked at for parents, one foreign key


def lacking_rows(hands: Hands, table: TableName, other: TableName) -> int | None:
    """How many rows of `table` have a key that `other` lacks; see `rows_apart`."""
    return rows_apart(hands, table, other, both=False)[0]


def rows_apart(
    hands: Hands,
    table: TableName,
    other: TableName,
    *,
    both: bool = True,
    seen: SeenKeys | None = None,
) -> tuple[int | None, int | None]:
    """How many rows of `table` have a key that `other` lacks, and the other way round.

    Without a key, or where keys do not compare: how many rows more it has.  None where neither
    could be counted within COUNT_S, and for what was not asked for.  `seen` is what is known of
    the keys of both already.
    """
    hands.narrator.doing(f"comparing the keys of {table} and {other}")
    definition = _definition(hands.looker, table)
    pair = (hands.looker, hands.main)
    if definition and keysets.same_keys(pair, definition, other, COUNT_S, seen):
        return 0, 0
    key = definition.key if definition else None
    hands.narrator.doing(f"counting rows that only one of {table} and {other} has")
    with ThreadPoolExecutor(1) as beside:  # each is a scan by one thread of the server
        other_way = beside.submit(_count_lacking, hands.main, other, table, key) if both else None
        found = _count_lacking(hands.looker, table, other, key)
        return found, other_way.result() if other_way else None


def _count_lacking(
    connection: Connection, table: TableName, other: TableName, key: Key | None
) -> int | None:
    if key is not None:
        found = relations.count_lacking(connection, table, other, key, COUNT_S)
        if found is not None:
            return found
    ours = relations.count_rows(connection, table, COUNT_S)
    theirs = relations.count_rows(connection, other, COUNT_S)
    return None if ours is None or theirs is None else max(0, ours - theirs)


def _definition(connection: Connection, table: TableName) -> TableDef | None:
    """A table's definition; None when it is of a kind that is not understood here."""
    try:
        return catalog.table_definition(connection, table, identity=False)
    except (Unsupported, CannotComplete):
        return None


def orphans_before(hands: Hands, plan: Plan) -> list[Orphans]:
    """Rows that would have no parent after the cut-over, as far as they are there now."""
    found = []
    for link in _links_after(plan):
        hands.narrator.doing(f"looking for rows without parents: {link}")
        child, parent = plan.standing(link.child), plan.standing(link.parent)
        orphans = relations.find_orphans(hands.looker, link, child, parent, ORPHANS_S)
        if orphans is not None:
            found.append(orphans)
    return found


def orphans_after(hands: Hands, plan: Plan) -> list[Orphans]:
    """Rows that have no parent now that everything is in place."""
    found = []
    for link in _links_after(plan):
        hands.narrator.doing(f"looking for rows without parents: {link}")
        orphans = relations.find_orphans(hands.looker, link, link.child, link.parent, ORPHANS_S)
        if orphans is not None:
            found.append(orphans)
    return found


def require_no_orphans(found: Sequence[Orphans], what: str, way_on: str) -> None:
    """Raise ConsentNeeded when the cut-over would leave rows without parents."""
    if found:
        raise ConsentNeeded(
            f"{what} would leave rows without their parents: " + "; ".join(map(str, found)),
            hint=f"{way_on}; nothing was touched",
        )


def differences_after(hands: Hands, state: RunState, plan: Plan) -> list[Finding]:
    """Where what is live now is not what the snapshot and the plan say."""
    findings: list[Finding] = []
    main = hands.main
    for move in plan.moves:
        hands.narrator.doing(f"comparing the definition of {move.target}")
        wanted = [trigger.name for trigger in move.triggers_after]
        here = [trigger.name for trigger in triggers.triggers_of(main, move.target)]
        if sorted(here) != sorted(wanted):
            message = f"triggers are {here}, not {wanted}"
            findings.append(Finding("triggers", message, move.target))
    for link in relations.links_to(main, [move.aside for move in plan.moves]):
        message = f"foreign key {link} still references the table that was live"
        findings.append(Finding("foreign key", message, link.child))
    links = {move.target: move.links_after for move in plan.moves}
    for table in state.tables:
        if table.create_sql:
            expected = links.get(table.target, ())
            findings += _defined_as(main, table.target, table.create_sql, expected)
    return findings


def _defined_as(
    connection: Connection, table: TableName, create_sql: str, expected: Sequence[Link]
) -> Iterable[Finding]:
    """SHOW CREATE TABLE against the snapshot's, short of names that MySQL gives to CHECKs."""
    found = relations.definition(connection, table)
    if found is None:
        return [Finding("missing", "the table is not there", table)]
    wanted, here = relations.without_links(create_sql), relations.without_links(found)
    named = connection.server.family != "mysql"
    have = relations.links_in(found, table)
    findings = [
        Finding("foreign key", f"{link} is missing", table)
        for link in expected
        if link.name and not any(link.same_as(one) for one in have)
    ]
    if not ddl_spelling.alike(wanted, here, constraint_names=named):
        findings.append(Finding("schema", "is not defined as in the snapshot", table))
    return findings


def renamed_checks(connection: Connection, table: TableName, create_sql: str) -> list[str]:
    """CHECKs that MySQL has under another name now: the name was taken while staging was made."""
    found = relations.definition(connection, table)
    if found is None:
        return []
    names = {check.name for check in ddl.checks(found)}
    return [check.name for check in ddl.checks(create_sql) if check.name not in names]


def _links_after(plan: Plan) -> list[Link]:
    links = list(plan.children)
    for move in plan.moves:
        if move.incoming is not None:
            links += move.links_after
    return links


class AutoIncrement:
    """Keeps the table that comes from issuing ids that the one that goes has issued.

    Under a lock the next id is exact.  Without one, ids may be issued between the look and the
    rename: then as many as the table needs in ten times that while are left out.
    """

    def __init__(self, hands: Hands, plan: Plan) -> None:
        self._hands = hands
        self._plan = plan
        self._seen = {move.target: self._next(move.target) for move in plan.moves}
        self._sequences = SequenceValues(hands, plan)

    def fit(self) -> None:
        """Raise the next id of each table that comes, if it must be."""
        for move in self._plan.moves:
            issued = self._next(move.target) if move.replaces else None
            if move.incoming is None or issued is None:
                continue
            own = self._next(move.incoming)
            seen = self._seen.get(move.target)
            moved = 0 if seen is None or self._hands.guard is self._hands.main else issued - seen
            wanted = issued + 10 * max(0, moved)
            if own is not None and own < wanted:
                self._raise(move.incoming, wanted)
        self._sequences.fit()

    def check(self) -> list[Finding]:
        """After the rename: whether ids were issued by the table that went meanwhile."""
        findings = []
        for move in self._plan.moves:
            last = self._next(move.aside) if move.replaces else None
            own = self._next(move.target)
            if last is not None and own is not None and last > own:
                self._raise(move.target, last)
                message = f"ids from {own} to {last - 1} may have been issued twice"
                findings.append(Finding("auto_increment", message, move.target))
        return findings + self._sequences.check()

    def _raise(self, table: TableName, value: int) -> None:
        hands = self._hands
        what = f"raising AUTO_INCREMENT of {table} to {value}"
        hands.run(hands.main, what, sql_tables.set_auto_increment(table, value))

    def _next(self, table: TableName) -> int | None:
        return relations.number(self._hands.main, sql_tables.next_auto_increment(table))
