"""Which table it is, whatever its name: InnoDB's table ids, else the time of creation.

A rename swap puts another table's rows under the same name without any error on the readers'
side; the id of the table goes with its rows, and a rebuild or TRUNCATE gives a new one.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tablevault.errors import StatementFailed
from tablevault.model import TableName
from tablevault.mysql.sql import quote_text

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

_ENCODED = re.compile(r"@([0-9a-f]{4})")
_DENIED = frozenset({1044, 1142, 1227})


def identities(conn: Connection, tables: Sequence[TableName]) -> dict[TableName, str]:
    """An identity for each table that exists; of one run of one server, and of one account.

    `innodb:<ids>` where the account may see InnoDB's own tables (PROCESS), else
    `created:<time>`, which tells tables made within the same second apart only by its nature.
    """
    wanted = set(tables)
    found: dict[TableName, str] = {}
    for schema in sorted({table.schema for table in tables}):
        created = _created(conn, schema, wanted)
        ids = _innodb_ids(conn, schema)
        for table, moment in created.items():
            found[table] = ids.get(table.name, f"created:{moment}")
    return found


def _created(conn: Connection, schema: str, wanted: Iterable[TableName]) -> dict[TableName, str]:
    names = [table.name for table in wanted if table.schema == schema]
    listed = ", ".join(quote_text(name) for name in names)
    rows = conn.query(
        "SELECT TABLE_NAME, CREATE_TIME FROM information_schema.TABLES "
        f"WHERE TABLE_SCHEMA = {quote_text(schema)} AND TABLE_NAME IN ({listed})"
    )
    return {
        TableName(schema, (name or b"").decode("utf-8", "surrogateescape")): (
            moment or b""
        ).decode()
        for name, moment in rows
    }


def _innodb_ids(conn: Connection, schema: str) -> dict[str, str]:
    """Table name to identity; a partitioned table has one id a partition."""
    mariadb = conn.server.family == "mariadb"
    source = "INNODB_SYS_TABLES" if mariadb else "INNODB_TABLES"
    # names are spelled as file names here: `a b` is a@0020b; only MariaDB reads that in SQL
    bare = "SUBSTRING_INDEX(SUBSTRING_INDEX(NAME, '/', -1), '#', 1)"
    name = f"CONVERT(CONVERT(BINARY({bare}) USING filename) USING utf8mb4)" if mariadb else bare
    try:
        rows = conn.query(
            f"SELECT TABLE_ID, {name} FROM information_schema.{source} "
            # no file name is a bare #: such a schema is left to the time of creation
            f"WHERE NAME LIKE {quote_text(_like(file_name(schema) or '#'))}"
        )
    except StatementFailed as error:
        if error.errno in _DENIED:
            return {}
        raise
    ids: dict[str, list[int]] = defaultdict(list)
    for number, raw in rows:
        text = (raw or b"").decode("utf-8", "surrogateescape")
        ids[text if mariadb else _from_file_name(text)].append(int(number or 0))
    return {table: _identity(numbers) for table, numbers in ids.items()}


def _identity(numbers: list[int]) -> str:
    text = ",".join(str(number) for number in sorted(numbers))
    if len(numbers) > 1:
        text = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"innodb:{text}"


def file_name(name: str) -> str | None:
    """A schema's or table's name as the server spells it on disk.

    None beyond ASCII, where only the server knows the spelling.

    >>> file_name("my shop"), file_name("größe")
    ('my@0020shop', None)
    """
    encoded = []
    for char in name:
        if not char.isascii():
            return None
        plain = char.isalnum() or char == "_"
        encoded.append(char if plain else f"@{ord(char):04x}")
    return "".join(encoded)


def _from_file_name(text: str) -> str:
    return _ENCODED.sub(lambda found: chr(int(found[1], 16)), text)


def _like(prefix: str) -> str:
    escaped = prefix.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")
    return f"{escaped}/%"
