"""What a table is entangled with, made into a plan, and the plan proven before anything moves.

A foreign key or a trigger that is dropped must come back: each is tried out on empty tables of
the same shape first, by this very account.  What would be refused after the rename is refused
here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tablevault.errors import CannotComplete, StatementFailed, Unsupported
from tablevault.model import TableName
from tablevault.mysql import relations, sql_relations, sql_tables, triggers
from tablevault.mysql.connect import Connection
from tablevault.mysql.relations import Link
from tablevault.mysql.triggers import Trigger
from tablevault.names import passing_trigger, trial_table
from tablevault.ops.cutover_plan import Move, Plan
from tablevault.ops.hands import Hands
from tablevault.ops.runs import RunState, RunTable


def plan_swap(hands: Hands, state: RunState) -> Plan:
    """The plan that puts the staging tables of a run in place.

    A table restored under its own name gets the foreign keys and triggers of the snapshot.
    Under another name it takes over those of the table that it replaces; where there is none, it
    gets the foreign keys among the tables of the run, and nothing that could reach others.
    """
    connection = hands.main
    names = {table.source: table.target for table in state.tables}
    moves = []
    for table in state.tables:
        replaces = relations.exists(connection, table.target)
        links_before = relations.links_of(connection, table.target) if replaces else ()
        before = triggers.triggers_of(connection, table.target) if replaces else ()
        links_after, after = links_before, before
        if table.create_sql and table.source == table.target:
            links_after = relations.links_in(table.create_sql, table.target)
            after = _recorded(table, before)
        elif table.create_sql and not replaces:
            links_after, after = _among(connection, hands, table, names), ()
        moves.append(
            Move(
                target=table.target,
                incoming=table.staging,
                aside=table.kept,
                replaces=replaces,
                links_before=links_before,
                links_after=links_after,
                triggers_before=before,
                triggers_after=after,
            )
        )
        _tell_differences(hands, table, before, after)
    return Plan(tuple(moves), _outer_children(connection, [t.target for t in state.tables]))


def plan_rollback(hands: Hands, state: RunState, swap_plan: Plan | None) -> Plan:
    """The mirror: what was live before gets back what it had then.

    Children that came to reference the tables since move with them.
    """
    connection = hands.main
    had = {move.target: move for move in swap_plan.moves} if swap_plan else {}
    moves = []
    for table in state.tables:
        before = had.get(table.target)
        back = bool(state.had_live.get(str(table.target)))
        moves.append(
            Move(
                target=table.target,
                incoming=table.kept if back else None,
                aside=table.undone,
                replaces=relations.exists(connection, table.target),
                links_before=relations.links_of(connection, table.target),
                links_after=before.links_before if before and back else (),
                triggers_before=triggers.triggers_of(connection, table.target),
                triggers_after=before.triggers_before if before and back else (),
            )
        )
    return Plan(tuple(moves), _outer_children(connection, [t.target for t in state.tables]))


def prove(hands: Hands, run: str, plan: Plan) -> None:
    """Try out that every foreign key and trigger can be made again; raise if one cannot.

    Raises Unsupported or CannotComplete, naming it; nothing is left behind.
    """
    _refuse_taken_names(hands.main, run, plan)
    _require_privileges(hands, plan)
    for move in plan.moves:
        if move.incoming is None:
            continue
        gone = [t for t in move.triggers_before if not _in(t, move.triggers_after)]
        try_triggers(hands, run, move.incoming, move.triggers_after)
        if move.replaces:
            try_triggers(hands, run, move.target, gone)
    links = list(plan.children)
    for move in plan.moves:
        links += move.links_after
    for link in links:
        _try_link(hands, run, plan, link)


@dataclass
class _Trial:
    """Empty tables that are gone when the trial ends, however it ends."""

    hands: Hands
    tables: Sequence[TableName]

    def __enter__(self) -> None:
        self.hands.journal.append(
            "trial", tables=[[table.schema, table.name] for table in self.tables]
        )
        self._drop()

    def __exit__(self, *exc: object) -> None:
        if not self.hands.main.closed:
            self._drop()

    def _drop(self) -> None:
        for table in self.tables:
            self.hands.main.execute(sql_tables.drop_table(table))


def try_triggers(hands: Hands, run: str, table: TableName, tried: Iterable[Trigger]) -> None:
    """Make triggers of `table` on an empty one; raise CannotComplete when one cannot be made."""
    wanted = list(tried)
    if not wanted:
        return
    trial = trial_table(table, run)
    hands.narrator.doing(f"trying out the triggers of {table}")
    with _Trial(hands, [trial]):
        hands.main.execute(sql_relations.create_like(trial, table))
        for trigger in wanted:
            try:
                name = passing_trigger(f"try {trigger.name}", run)
                triggers.create_trigger(hands.main, trial, trigger, name=name)
            except StatementFailed as error:
                raise CannotComplete(
                    f"trigger `{trigger.name}` could not be made again for {table}: "
                    f"{error.message}",
                    hint=_TRIGGER_HINTS.get(error.errno, "nothing was touched"),
                ) from None


_TRIGGER_HINTS = {
    1419: "the binary log is on and this account has no SUPER: set "
    "log_bin_trust_function_creators, or use another account; nothing was touched",
    1227: "its definer is another account: grant SET USER (MySQL: SET_ANY_DEFINER), or use "
    "another account; nothing was touched",
    1142: "grant TRIGGER on the table; nothing was touched",
    1054: "the restored table lacks a column that the trigger uses; nothing was touched",
}


def _try_link(hands: Hands, run: str, plan: Plan, link: Link) -> None:
    """Make `link` between empty tables that look like those that it will be between."""
    main = hands.main
    child, parent = plan.standing(link.child), plan.standing(link.parent)
    if not relations.exists(main, parent):
        return  # every row of the child is an orphan then, and told as one
    target = plan.moves[0].target  # where this account may make tables
    trial = trial_table(TableName(target.schema, link.child.name), run)
    other = trial_table(TableName(target.schema, link.parent.name), run, parent=True)
    hands.narrator.doing(f"trying out foreign key {link}")
    with _Trial(hands, [trial, other]):
        try:
            main.execute(sql_relations.create_like(trial, child))
            main.execute(sql_relations.create_like(other, parent))
            clause = relations.nameless(link, other)
            main.execute(sql_relations.add_keys(trial, [clause]))
        except StatementFailed as error:
            raise Unsupported(
                f"foreign key {link} could not be made again: {error.message}",
                hint="parent and child must have columns that fit, with an index; "
                "nothing was touched",
            ) from None


def _refuse_taken_names(connection: Connection, run: str, plan: Plan) -> None:
    """Names of foreign keys and triggers are unique in a schema: others may have them by now."""
    moving = frozenset(plan.targets)
    for move in plan.moves:
        schema = move.target.schema
        links = [link.name for link in move.links_after if link.name]
        asked = [
            ("foreign key", links, sql_relations.holders_of_key_names),
            (
                "trigger",
                [trigger.name for trigger in move.triggers_after],
                sql_relations.holders_of_trigger_names,
            ),
        ]
        for what, names, question in asked:
            rows = connection.query(question(schema, names)) if names else []
            for holder, name in rows:
                if TableName(schema, relations.text(holder)) not in moving:
                    raise CannotComplete(
                        f"{what} `{relations.text(name)}` of {move.target} cannot come back: "
                        f"table {schema}.{relations.text(holder)} has one of that name",
                        hint="rename or drop that one; nothing was touched",
                    )


def _require_privileges(hands: Hands, plan: Plan) -> None:
    for table in plan.outer_children:
        if not hands.privileges.has("ALTER", table.schema, table.name):
            raise CannotComplete(
                f"table {table} references {', '.join(map(str, plan.targets))}, and the account "
                "may not alter its foreign key",
                hint=f"grant ALTER, SELECT and LOCK TABLES on {table}",
            )
    for move in plan.moves:
        if hands.privileges.has("TRIGGER", move.target.schema, move.target.name):
            continue
        if move.triggers_after:
            raise CannotComplete(
                f"table {move.target} has triggers, and the account may not make them",
                hint=f"grant TRIGGER on {move.target}",
            )
        if move.replaces:
            hands.narrator.hint(
                f"the account lacks TRIGGER on {move.target}: if the live table has triggers, "
                "they stay with the old one"
            )


def _recorded(table: RunTable, live: Sequence[Trigger]) -> tuple[Trigger, ...]:
    """The snapshot's triggers; where it did not record a setting, as the live one has it."""
    by_name = {trigger.name: trigger for trigger in live}
    found = []
    for number, text in enumerate(table.triggers):
        settings = table.trigger_settings[number] if table.trigger_settings else None
        trigger = triggers.parse_trigger(text, settings)
        twin = by_name.get(trigger.name)
        if trigger.sql_mode is None and twin is not None:
            trigger = dataclasses.replace(
                trigger, sql_mode=twin.sql_mode, charset=twin.charset, collation=twin.collation
            )
        found.append(trigger)
    return tuple(found)


def _tell_differences(
    hands: Hands, table: RunTable, before: Sequence[Trigger], after: Sequence[Trigger]
) -> None:
    if table.source == table.target:
        olds, news = {t.name: t for t in before}, {t.name: t for t in after}
        for name in olds.keys() - news.keys():
            hands.narrator.hint(
                f"trigger `{name}` of {table.target} is not in the snapshot: it will not be there "
                "after the swap"
            )
        for name, new in news.items():
            if name in olds and not olds[name].same_as(new):
                hands.narrator.hint(
                    f"trigger `{name}` of {table.target} was changed since the snapshot: it will "
                    "be as it was then"
                )
            elif name not in olds and before:
                hands.narrator.hint(f"trigger `{name}` of {table.target} will be there again")
    elif not before and table.triggers:
        hands.narrator.hint(
            f"{table.target} is a copy under another name: it gets no triggers, which might "
            "reach other tables"
        )


def _among(
    connection: Connection, hands: Hands, table: RunTable, names: Mapping[TableName, TableName]
) -> tuple[Link, ...]:
    """The foreign keys of a copy: those to tables of the same run, to their copies."""
    kept = []
    recorded = relations.links_in(table.create_sql, table.target, schema=table.source.schema)
    for link in recorded:
        if link.parent not in names:
            hands.narrator.hint(
                f"{table.target} is a copy under another name: it gets no foreign key "
                f"`{link.name}` to {link.parent}, whose rows it would tie down"
            )
            continue
        parent = names[link.parent]
        question = sql_relations.holders_of_key_names(table.target.schema, [link.name])
        taken = bool(connection.query(question))
        clause = relations.nameless(link, parent)
        if not taken:
            clause = relations.named(link, clause)
        name = "" if taken else link.name
        kept.append(dataclasses.replace(link, parent=parent, clause=clause, name=name))
    return tuple(kept)


def _outer_children(connection: Connection, targets: Sequence[TableName]) -> tuple[Link, ...]:
    found = relations.links_to(connection, targets)
    moving = frozenset(targets)
    return tuple(link for link in found if link.child not in moving)


def _in(trigger: Trigger, others: Iterable[Trigger]) -> bool:
    return any(trigger.same_as(other) for other in others)
