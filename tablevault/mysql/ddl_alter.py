"""ALTER TABLE, clause by clause, and in which order what must go in several statements goes.

Columns, keys, options and partitions go in one ALTER: an AUTO_INCREMENT column needs its key, a
partitioning its columns, and the table is rebuilt once.  Foreign keys and CHECKs are dropped before
and added after it, because both servers refuse to drop and add the same name in one statement.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from tablevault.model import TableName
from tablevault.mysql import sql_relations
from tablevault.mysql.ddl_facets import hidden
from tablevault.mysql.ddl_parse import Element, Role, parse
from tablevault.mysql.sql import quote_name, quote_table
from tablevault.mysql.triggers import Trigger

_ABSENT = {  # the value by which an option that nobody set is written
    "COMMENT": "''",
    "COMPRESSION": "''",
    "ENCRYPTION": "'N'",
    "CONNECTION": "''",
    "ENGINE_ATTRIBUTE": "''",
    "SECONDARY_ENGINE_ATTRIBUTE": "''",
    "KEY_BLOCK_SIZE": "0",
    "MIN_ROWS": "0",
    "MAX_ROWS": "0",
    "AVG_ROW_LENGTH": "0",
    "CHECKSUM": "0",
    "DELAY_KEY_WRITE": "0",
    "AUTOEXTEND_SIZE": "0",
}
_VERSIONED = "WITH SYSTEM VERSIONING"


class Stage(IntEnum):
    """When a step is taken."""

    CREATE_TABLE = 0
    DROP_TRIGGERS = 1
    DROP_CONSTRAINTS = 2
    ALTER = 3
    PARTITION = 4  # at the end of the same ALTER, without a comma
    ADD_CONSTRAINTS = 5
    CREATE_TRIGGERS = 6


@dataclass(frozen=True)
class Step:
    """A clause of an ALTER TABLE, or a whole statement of another kind."""

    stage: Stage
    text: str


def statements(table: TableName, steps: Iterable[Step]) -> tuple[str, ...]:
    """The statements that take these steps, in their order."""
    by_stage: dict[Stage, list[str]] = {stage: [] for stage in Stage}
    for step in steps:
        by_stage[step.stage].append(step.text)
    head = f"ALTER TABLE {quote_table(table)} "
    found = [*by_stage[Stage.CREATE_TABLE], *by_stage[Stage.DROP_TRIGGERS]]
    if dropped := by_stage[Stage.DROP_CONSTRAINTS]:
        found.append(head + ", ".join(dropped))
    shape = " ".join([", ".join(by_stage[Stage.ALTER]), *by_stage[Stage.PARTITION]]).strip()
    if shape:
        found.append(head + shape)
    if added := by_stage[Stage.ADD_CONSTRAINTS]:
        found.append(head + ", ".join(added))
    return (*found, *by_stage[Stage.CREATE_TRIGGERS])


def create_table(table: TableName, create_sql: str) -> Step:
    """Make the table as SHOW CREATE TABLE once showed it."""
    return Step(Stage.CREATE_TABLE, parse(create_sql).render(quote_table(table)))


def place_after(previous: str | None) -> str:
    """Where a column goes: ` AFTER ...`, or ` FIRST` without one before it."""
    return " FIRST" if previous is None else f" AFTER {quote_name(previous)}"


def add_column(column: Element, place: str) -> Step:
    """Make a column, at its place."""
    return Step(Stage.ALTER, f"ADD COLUMN {column.text}{place}")


def drop_column(name: str) -> Step:
    """Remove a column."""
    return Step(Stage.ALTER, f"DROP COLUMN {quote_name(name)}")


def modify_column(column: Element, place: str = "") -> Step:
    """Give a column this definition, and this place if one is given."""
    return Step(Stage.ALTER, f"MODIFY COLUMN {column.text}{place}")


def rename_column(old: str, column: Element, place: str = "") -> Step:
    """Call a column otherwise; it gets definition and place too where a place is given."""
    if place:
        return Step(Stage.ALTER, f"CHANGE COLUMN {quote_name(old)} {column.text}{place}")
    return Step(Stage.ALTER, f"RENAME COLUMN {quote_name(old)} TO {quote_name(column.name)}")


def add_element(element: Element) -> Step:
    """Make an index or a constraint."""
    tied = element.role in (Role.FOREIGN_KEY, Role.CHECK)
    return Step(Stage.ADD_CONSTRAINTS if tied else Stage.ALTER, element.add_clause)


def drop_element(element: Element) -> Step:
    """Remove an index or a constraint."""
    tied = element.role in (Role.FOREIGN_KEY, Role.CHECK)
    return Step(Stage.DROP_CONSTRAINTS if tied else Stage.ALTER, element.drop_clause)


def add_period(text: str) -> Step:
    """Make a period, which SHOW CREATE writes as `PERIOD FOR name (start, end)`."""
    return Step(Stage.ALTER, f"ADD {text}")


def drop_period(text: str) -> Step:
    """Remove a period."""
    return Step(Stage.ALTER, f"DROP {text.partition('(')[0].strip()}")


def rename_index(old: str, new: str) -> Step:
    """Call an index otherwise; costs nothing."""
    return Step(Stage.ALTER, f"RENAME INDEX {quote_name(old)} TO {quote_name(new)}")


def index_visibility(wanted: Element, present: Element) -> Step:
    """Make an index as visible to the optimizer as it is wanted; costs nothing.

    Just one of the two is hidden, in its server's word: MySQL hides what MariaDB ignores.
    """
    hide = hidden(wanted)
    mysql = "INVISIBLE" in (wanted if hide else present).text
    word = ("INVISIBLE" if hide else "VISIBLE") if mysql else ("IGNORED" if hide else "NOT IGNORED")
    return Step(Stage.ALTER, f"ALTER INDEX {quote_name(wanted.name)} {word}")


def option(name: str, value: str | None) -> Step:
    """Set a table option, as SHOW CREATE TABLE writes it; None: as if it had never been set."""
    if name == _VERSIONED:
        return Step(Stage.ALTER, f"{'DROP' if value is None else 'ADD'} SYSTEM VERSIONING")
    if name == "TABLESPACE":
        return Step(Stage.ALTER, f"TABLESPACE {value or '`innodb_file_per_table`'}")
    return Step(Stage.ALTER, f"{name}={_ABSENT.get(name, 'DEFAULT') if value is None else value}")


def default_charset(charset: str, collation: str) -> Step:
    """Set what new text columns get; a sequence does not show its charset."""
    shown = f"DEFAULT CHARSET={charset} COLLATE={collation}" if charset else f"COLLATE={collation}"
    return Step(Stage.ALTER, shown)


def partitioning(text: str) -> Step:
    """Partition the table as `text` says; not at all when it is empty."""
    return Step(Stage.PARTITION, text or "REMOVE PARTITIONING")


def drop_trigger(table: TableName, name: str) -> Step:
    """Remove a trigger."""
    return Step(Stage.DROP_TRIGGERS, sql_relations.drop_trigger(table.schema, name))


def create_trigger(table: TableName, trigger: Trigger, order: str = "") -> tuple[Step, ...]:
    """Make a trigger in the session that it was once made in, then go back to the usual one.

    `order` says among others of its event: `FOLLOWS name`.  A text that is not ASCII is sent as
    UTF-8 whatever charset it was made in: see `keeps_charset`.
    """
    made = [trigger.create_sql(table, order=order)]
    if trigger.sql_mode is not None and trigger.charset and trigger.collation:
        mode, text = sql_relations.trigger_session(
            trigger.sql_mode, trigger.charset, trigger.collation
        )
        back = sql_relations.usual_session()
        made = [*([text] if keeps_charset(trigger) else []), mode, *made, *back]
    return tuple(Step(Stage.CREATE_TRIGGERS, statement) for statement in made)


def follows(name: str) -> str:
    """The order of a trigger: right after this one."""
    return f"FOLLOWS {quote_name(name)}"


def precedes(name: str) -> str:
    """The order of a trigger: right before this one."""
    return f"PRECEDES {quote_name(name)}"


def keeps_charset(trigger: Trigger) -> bool:
    """Whether a statement in UTF-8 can make the trigger in the charset that it was made in."""
    return (trigger.charset or "").startswith("utf8") or trigger.create_sql(
        TableName("", "")
    ).isascii()
