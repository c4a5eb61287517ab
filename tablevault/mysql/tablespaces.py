"""Where the server keeps the rows of a table, and whether a copy of that file can be taken.

Only what IMPORT TABLESPACE brings back exactly: a table of InnoDB in one file of its own, neither
partitioned, encrypted nor compressed, without full-text and vector indexes, whose data lies in
tables of their own, and without spatial ones.  Reasons are clauses for a person: they follow "its
tablespace is not kept:", or say why a table comes by its rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tablevault.errors import StatementFailed
from tablevault.model import TableDef, TableName
from tablevault.mysql import server as servers
from tablevault.mysql.ddl_parse import Role, Token, parse, tokenize

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

_IDENTITY = re.compile(r"innodb:(\d+)")
_DENIED = frozenset({1044, 1142, 1227})
_OLDEST = {"mysql": (8, 0, 0), "mariadb": (10, 6, 0)}
_OPTIONS = {  # of SHOW CREATE TABLE, unless they are off
    "ENCRYPTION": "it is encrypted",
    "ENCRYPTED": "it is encrypted",
    "PAGE_COMPRESSED": "its pages are compressed",
    "COMPRESSION": "its pages are compressed",
    "DIRECTORY": "its file lies outside the data directory",
    "PARTITION": "it is partitioned",
}
_SPECIAL = ("FULLTEXT", "VECTOR", "SPATIAL")  # rows are not counted by a spatial index
_MARIADB = (
    "SELECT t.TABLE_ID, t.SPACE, t.ROW_FORMAT, s.FILENAME, 'Single' "
    "FROM information_schema.INNODB_SYS_TABLES t "
    "LEFT JOIN information_schema.INNODB_SYS_TABLESPACES s ON s.SPACE = t.SPACE "
    "WHERE t.TABLE_ID IN ({})"
)
_MYSQL = (
    "SELECT t.TABLE_ID, t.SPACE, t.ROW_FORMAT, d.PATH, t.SPACE_TYPE "
    "FROM information_schema.INNODB_TABLES t "
    "LEFT JOIN information_schema.INNODB_DATAFILES d ON d.SPACE = t.SPACE "
    "WHERE t.TABLE_ID IN ({})"
)
_ENCRYPTED = (
    "SELECT SPACE FROM information_schema.INNODB_TABLESPACES_ENCRYPTION "
    "WHERE ENCRYPTION_SCHEME <> 0 OR MIN_KEY_VERSION <> 0"
)


@dataclass(frozen=True)
class Tablespace:
    """A table's file as the server names it."""

    table: TableName
    space_id: int
    row_format: str  # "Dynamic"
    file: PurePosixPath  # absolute, as the server sees it

    @property
    def cfg(self) -> PurePosixPath:
        """Where the server describes it while the table is exported."""
        return self.file.with_suffix(".cfg")


@dataclass(frozen=True)
class Found:
    """The tablespaces that can be copied, and why the others cannot."""

    tablespaces: tuple[Tablespace, ...]
    reasons: Mapping[TableName, str]


def find(conn: Connection, definitions: Sequence[TableDef]) -> Found:
    """Look up the tablespace of each table; asks the server a few questions for all of them."""
    reasons: dict[TableName, str] = {}
    ids: dict[int, TableName] = {}
    everywhere = _reason_everywhere(conn)
    for definition in definitions:
        number = _IDENTITY.fullmatch(definition.identity)
        reason = everywhere or unfit(definition)
        if reason is None and number is None:
            reason = "which file is its cannot be seen: it takes PROCESS, and names in ASCII"
        if reason is not None:
            reasons[definition.table] = reason
        elif number is not None:
            ids[int(number[1])] = definition.table
    tablespaces = []
    for one, reason in _look_up(conn, ids):
        if reason is None:
            tablespaces.append(one)
        else:
            reasons[one.table] = reason
    seen = {one.table for one in tablespaces} | reasons.keys()
    reasons |= {
        table: "the server does not say where its file is"
        for table in ids.values()
        if table not in seen
    }
    return Found(tuple(tablespaces), reasons)


def prepared_transactions(conn: Connection) -> int:
    """How many prepared XA transactions may have rows in a file although its table is exported.

    None on MySQL: there they keep the table's lock, and so the export waiting.  To be asked under
    the export: what is prepared later cannot have written to these tables.
    """
    return len(conn.query("XA RECOVER")) if conn.server.family == "mariadb" else 0


def _reason_everywhere(conn: Connection) -> str | None:
    if conn.server.version < _OLDEST[conn.server.family]:
        return f"server {conn.server.version_text} is too old for it"
    if servers.is_on(servers.settings(conn, ["wsrep_on"]), "wsrep_on"):
        return "a Galera cluster imports none"
    return None


def unfit(definition: TableDef) -> str | None:
    """What a table's definition has against it; None: nothing."""
    if definition.engine.lower() != "innodb":
        return f"its engine is {definition.engine}"
    if definition.sequence:
        return "it is a sequence"
    created = parse(definition.create_sql)
    for index in created.of(Role.INDEX):
        if index.flavour in _SPECIAL:
            return f"its index `{index.name}` is {index.flavour}"
    tokens = list(tokenize(created.tail))
    for token, value in zip(tokens, [*tokens[2:], None, None], strict=True):
        word = token.identifier.upper() if token.kind in ("word", "name") else ""
        if word in _OPTIONS and not _off(value):
            return _OPTIONS[word]
        if word == "ROW_FORMAT" and value is not None and value.says("COMPRESSED"):
            return "its row format is COMPRESSED"
    return None


def _off(value: Token | None) -> bool:
    return value is not None and value.text.strip("'\"").upper() in ("N", "NO", "NONE", "OFF", "0")


def _look_up(
    conn: Connection, ids: Mapping[int, TableName]
) -> Iterable[tuple[Tablespace, str | None]]:
    """Each tablespace, and why it cannot be copied, if so."""
    if not ids:
        return
    mariadb = conn.server.family == "mariadb"
    listed = ", ".join(str(number) for number in sorted(ids))
    folder = PurePosixPath(_text((conn.one("SELECT @@datadir") or (b"",))[0]))
    encrypted = _encrypted(conn) if mariadb else set()
    for number, space, row_format, path, kind in conn.query(
        (_MARIADB if mariadb else _MYSQL).format(listed)
    ):
        space_id, text = int(space or 0), _text(path)
        file = folder / text
        one = Tablespace(ids[int(number or 0)], space_id, _text(row_format), file)
        reason = None
        if not space_id or _text(kind) != "Single" or not text:
            reason = "it has no file of its own (innodb_file_per_table)"
        elif folder not in file.parents or ".." in file.parts or file.suffix != ".ibd":
            reason = "its file lies outside the data directory"
        elif one.row_format.upper() == "COMPRESSED":
            reason = "its row format is COMPRESSED"
        elif space_id in encrypted:
            reason = "it is encrypted"
        yield one, reason


def _encrypted(conn: Connection) -> set[int]:
    try:
        return {int(row[0] or 0) for row in conn.query(_ENCRYPTED)}
    except StatementFailed as error:
        if error.errno in _DENIED:
            return set()
        raise


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "surrogateescape")
