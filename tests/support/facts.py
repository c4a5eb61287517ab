"""What a table holds, asked through the server's own client: a route apart from tablevault's."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from tests.servers import Server


def quoted(name: str) -> str:
    """An identifier in backticks."""
    return f"`{name.replace('`', '``')}`"


def literal(text: str) -> str:
    """A string literal, as hexadecimal: no escapes to get wrong."""
    return f"CONVERT(X'{text.encode().hex()}' USING utf8mb4)" if text else "''"


def numbers(count: int) -> str:
    """A derived table with the one column `seq`, 1 to `count`, on every server."""
    digits = len(str(count)) - 1
    most = count // 10**digits
    tens = [" UNION ALL ".join(f"SELECT {n} AS d" for n in range(10))] * digits
    parts = [" UNION ALL ".join(f"SELECT {n} AS d" for n in range(most + 1)), *tens]
    value = " + ".join(f"t{n}.d * {10 ** (digits - n)}" for n in range(digits + 1))
    joined = " JOIN ".join(f"({part}) AS t{n}" for n, part in enumerate(parts))
    return f"(SELECT {value} AS seq FROM {joined} HAVING seq BETWEEN 1 AND {count}) AS numbers"


@dataclass(frozen=True)
class Facts:
    """Everything about a table that must be the same after a restore."""

    checksum: str
    create: str
    values: tuple[tuple[str | None, ...], ...]  # HEX of each value of each row, sorted


def checksum(server: Server, schema: str, table: str) -> str:
    """CHECKSUM TABLE."""
    [[_, value]] = server.query(f"CHECKSUM TABLE {quoted(schema)}.{quoted(table)}")
    assert value is not None
    return value


def show_create(server: Server, schema: str, table: str) -> str:
    """SHOW CREATE TABLE, with AUTO_INCREMENT and all."""
    text = server.sql(f"SHOW CREATE TABLE {quoted(schema)}.{quoted(table)}\\G")
    return text.split("\n", 2)[2]


def nameless(create: str) -> list[str]:
    """The definition without the names of its CHECKs, unique in a schema on MySQL."""
    return sorted(
        re.sub(r"CONSTRAINT `(?:[^`]|``)*` CHECK", "CHECK", line).rstrip(",")
        for line in create.splitlines()
    )


def columns(server: Server, schema: str, table: str) -> list[str]:
    """The names of all columns, invisible and generated ones too."""
    rows = server.query(
        "SELECT HEX(COLUMN_NAME) FROM information_schema.COLUMNS "
        f"WHERE TABLE_SCHEMA = {literal(schema)} AND TABLE_NAME = {literal(table)} "
        "ORDER BY ORDINAL_POSITION"
    )
    return [bytes.fromhex(row[0] or "").decode() for row in rows]


def facts(server: Server, schema: str, table: str) -> Facts:
    """Checksum, definition, and every value in hexadecimal."""
    shown = ", ".join(
        f"HEX(CONVERT({quoted(name)} USING binary))" for name in columns(server, schema, table)
    )
    create, history = show_create(server, schema, table), ""
    if create.endswith("WITH SYSTEM VERSIONING") or " WITH SYSTEM VERSIONING\n" in create:
        history = " FOR SYSTEM_TIME ALL"
        if "AS ROW START" not in create:
            shown += ", HEX(row_start), HEX(row_end)"
    rows = server.query(f"SELECT {shown} FROM {quoted(schema)}.{quoted(table)}{history}")
    return Facts(
        checksum(server, schema, table),
        create,
        tuple(sorted(rows, key=repr)),
    )


def fingerprint(server: Server, schema: str, table: str, expressions: str = "*") -> str:
    """A hash of all rows, as the client prints them, sorted."""
    text = server.sql(f"SELECT {expressions} FROM {quoted(schema)}.{quoted(table)}")
    return hashlib.sha256(
        "\n".join(sorted(text.splitlines())).encode("utf-8", "surrogateescape")
    ).hexdigest()


def tables(server: Server, schema: str, *, views: bool = True) -> list[str]:
    """The names of all tables of a schema; without views if so wished."""
    of_kind = "" if views else " AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')"
    rows = server.query(
        "SELECT HEX(TABLE_NAME) FROM information_schema.TABLES "
        f"WHERE TABLE_SCHEMA = {literal(schema)}{of_kind} ORDER BY TABLE_NAME"
    )
    return [bytes.fromhex(row[0] or "").decode() for row in rows]


def leftovers(server: Server, schema: str) -> list[str]:
    """Tables that a run of tablevault made and left."""
    return [name for name in tables(server, schema) if name.startswith("_tv_")]


def is_sequence(server: Server, schema: str, table: str) -> bool:
    """Whether it is a sequence of MariaDB."""
    kind = server.value(
        "SELECT TABLE_TYPE FROM information_schema.TABLES "
        f"WHERE TABLE_SCHEMA = {literal(schema)} AND TABLE_NAME = {literal(table)}"
    )
    return kind == "SEQUENCE"
