"""Triggers: reading them, and making them again as they were: body, definer, mode and charset.

What a server keeps of a trigger is its text and the session it was made in; both must come back.
Whether an account may make a trigger can only be found out by making one.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tablevault.errors import CannotComplete, Unsupported
from tablevault.model import TableName, TriggerSettings
from tablevault.mysql import sql_relations
from tablevault.mysql.ddl_parse import Token, tokenize
from tablevault.mysql.session import DEFINING_SQL_MODE
from tablevault.mysql.sql import quote_name, quote_table

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

_CODECS = {"utf8mb4": "utf-8", "utf8mb3": "utf-8", "utf8": "utf-8", "latin1": "cp1252"}
_WORD = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True)
class Trigger:
    """A trigger, apart from the table it is on.

    `definer` is the clause `DEFINER=...` or empty; `when` is, say, `BEFORE INSERT`.  The settings
    are None where a snapshot did not record them.
    """

    name: str
    definer: str
    when: str
    body: str
    sql_mode: str | None = None
    charset: str | None = None
    collation: str | None = None

    def same_as(self, other: Trigger) -> bool:
        """Whether both do the same, under the same name and settings where both are known."""
        return not self.differences(other)

    def differences(self, other: Trigger) -> tuple[str, ...]:
        """The fields in which they differ, settings where both are known."""
        ours, theirs = (dataclasses.asdict(one._backticked()) for one in (self, other))
        return tuple(
            field
            for field, value in ours.items()
            if value != theirs[field] and None not in (value, theirs[field])
        )

    def _backticked(self) -> Trigger:
        """The same, its definer as written outside the mode ANSI_QUOTES."""
        return dataclasses.replace(self, definer=self.definer.replace('"', "`"))

    def create_sql(self, table: TableName, name: str | None = None, order: str = "") -> str:
        """The statement that makes it on `table`; `order`: FOLLOWS or PRECEDES another one."""
        shown = f"{quote_name(table.schema)}.{quote_name(name or self.name)}"
        definer = f"{self.definer} " if self.definer else ""
        return (
            f"CREATE {definer}TRIGGER {shown} {self.when} ON {quote_table(table)} "
            f"FOR EACH ROW {f'{order} ' if order else ''}{self.body}"
        )


def parse_trigger(text: str, settings: TriggerSettings | None = None) -> Trigger:
    """Take the text of SHOW CREATE TRIGGER apart.  Raises Unsupported for what is not known."""
    tokens = list(tokenize(text))
    try:
        at = _index(tokens, 0, "TRIGGER")
        timing = _index(tokens, at, "BEFORE", "AFTER")
        on = _index(tokens, timing, "ON")
        row = _index(tokens, on, "ROW")
    except StopIteration:
        raise Unsupported(f"not a trigger's definition: {text[:60]!r}") from None
    if on != timing + 2 or row != _index(tokens, on, "FOR") + 2:
        raise Unsupported(f"a trigger of a kind this version does not know: {text[:80]!r}")
    body_at = tokens[row].end
    if tokens[row + 1].says("FOLLOWS", "PRECEDES"):
        body_at = tokens[row + 2].end  # the order is kept by making them in order
    head = text[tokens[0].end : tokens[at].start]
    definer = re.search(r"DEFINER\s*=.*", head, re.DOTALL | re.IGNORECASE)
    named = [token for token in tokens[at + 1 : timing] if not token.says("IF", "NOT", "EXISTS")]
    return Trigger(
        name=_last_part(named[-1]),
        definer=definer[0].strip() if definer else "",
        when=f"{tokens[timing].text} {tokens[timing + 1].text}".upper(),
        body=text[body_at:].strip(),
        sql_mode=settings.sql_mode if settings else None,
        charset=settings.charset if settings else None,
        collation=settings.collation if settings else None,
    )


def triggers_of(conn: Connection, table: TableName) -> tuple[Trigger, ...]:
    """A table's triggers, in the order in which they fire.

    The server hides them from an account without TRIGGER on the table.
    """
    found = []
    for (raw,) in conn.query(sql_relations.trigger_names(table)):
        name = _text(raw)
        row = conn.one(sql_relations.show_trigger(table.schema, name))
        if row is None or row[2] is None:
            raise CannotComplete(
                f"the account may not see trigger `{name}` of {table}",
                hint=f"grant TRIGGER on {table}",
            )
        mode, shown, charset, collation = (_text(value) for value in row[1:5])
        found.append(parse_trigger(shown, TriggerSettings(mode, charset, collation)))
    return tuple(found)


def create_trigger(
    conn: Connection, table: TableName, trigger: Trigger, *, name: str | None = None
) -> None:
    """Make `trigger` on `table`, under `name`, in the session that it was once made in."""
    statement = trigger.create_sql(table, name)
    with _session_of(conn, trigger):
        conn.execute(_encoded(statement, trigger, table))


def drop_triggers(conn: Connection, schema: str, names: Sequence[str]) -> None:
    """Drop triggers, whether or not they are there."""
    for name in names:
        conn.execute(sql_relations.drop_trigger(schema, name))


@contextmanager
def _session_of(conn: Connection, trigger: Trigger) -> Iterator[None]:
    mode = DEFINING_SQL_MODE if trigger.sql_mode is None else trigger.sql_mode
    charset, collation = trigger.charset or "utf8mb4", trigger.collation or "utf8mb4_general_ci"
    set_mode, set_text = sql_relations.trigger_session(mode, charset, collation)
    conn.execute(set_text)
    conn.execute(set_mode)
    try:
        yield
    finally:
        if not conn.closed:
            for statement in sql_relations.usual_session():
                conn.execute(statement)


def _encoded(statement: str, trigger: Trigger, table: TableName) -> bytes:
    charset = trigger.charset or "utf8mb4"
    codec = "ascii" if statement.isascii() else _CODECS.get(charset)
    try:
        if codec is None:
            raise LookupError
        return statement.encode(codec)
    except (LookupError, UnicodeEncodeError):
        raise Unsupported(
            f"trigger `{trigger.name}` of {table} was made in charset {charset}, in which this "
            "version cannot write it"
        ) from None


def _index(tokens: Sequence[Token], start: int, *words: str) -> int:
    return next(i for i in range(start, len(tokens)) if tokens[i].says(*words))


def _last_part(token: Token) -> str:
    """The name itself, of `schema.name` in one token or of a quoted one."""
    if token.kind == "word":
        return token.text.rsplit(".", 1)[-1]
    return token.text[1:-1].replace('""', '"') if token.kind == "string" else token.identifier


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "surrogateescape")
