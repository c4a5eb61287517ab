"""Each kind of the format's table of types, proven by routes that share nothing.

- the digest of the wire bytes, as the manifest has it;
- the same digest in plain Python, of values that the server's own client printed in hexadecimal;
- the digest that the server computes of what stands there after the restore;
- every value in hexadecimal, and through the binary protocol, before and after.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tablevault.model import TableDef, TableName
from tablevault.mysql import catalog
from tablevault.mysql.connect import Purpose, connect
from tablevault.mysql.sql_digest import digest_query, parse_digest
from tablevault.rows.digest import digest_of
from tablevault.rows.kinds import ColumnSpec, Kind, specs_of
from tests.servers import Server
from tests.support.facts import facts, quoted
from tests.support.roundtrip import pattern, put_back, take
from tests.support.values import SAMPLES, Sample, x

MODE = "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00';\n"
TEXTS = (Kind.UUID, Kind.INET4, Kind.INET6)  # the wire has their characters
ONLY_HERE = {  # the columns of SAMPLES have all other kinds
    Kind.UUID: Sample(
        "uuids",
        (("u", "uuid", ("'123e4567-e89b-12d3-a456-426655440000'", "REPEAT('f', 32)")),),
    ),
    Kind.INET4: Sample("inet4s", (("i", "inet4", ("'0.0.0.0'", "'255.1.0.9'")),)),
    Kind.INET6: Sample(
        "inet6s", (("i", "inet6", ("'::'", "'2001:db8::ff00:42:8329'", "'::ffff:1.2.3.4'")),)
    ),
    Kind.VECTOR: Sample(
        "vectors",
        (("v", "vector(3)", (x(bytes(12)), x(b"\xff\xff\x7f\x7f" * 3), x(bytes(range(12))))),),
    ),
}
NOT_THERE = {
    "mysql": {Kind.UUID, Kind.INET4, Kind.INET6},
    "mariadb": {Kind.VECTOR, Kind.JSON},
    "mariadb-new": {Kind.JSON},  # an alias of LONGTEXT there
}


def named(kind: Kind, server: Server) -> list[Sample]:
    """The samples to be looked through for columns of a kind."""
    return [ONLY_HERE[kind]] if kind in ONLY_HERE else list(SAMPLES)


def definition(server: Server, schema: str, table: str) -> TableDef:
    with connect(server.options()) as connection:
        return catalog.table_definition(connection, TableName(schema, table), identity=False)


def printed(
    server: Server, table: TableDef, specs: list[ColumnSpec]
) -> list[tuple[bytes | None, ...]]:
    """What the client prints of each value, unhexed: the text that the wire has, by another way."""
    cells = []
    for spec in specs:
        name = quoted(spec.name)
        if spec.kind is Kind.FLOAT:
            name = f"CAST({name} AS DOUBLE)"
        if spec.kind in TEXTS:
            name = f"CAST({name} AS CHAR)"
        cells.append(f"HEX(CONVERT({name} USING binary))")
    where = f"{quoted(table.table.schema)}.{quoted(table.table.name)}"
    rows = server.query(f"{MODE}SELECT {', '.join(cells)} FROM {where}")
    return [tuple(None if cell is None else bytes.fromhex(cell) for cell in row) for row in rows]


def binary(server: Server, table: TableDef) -> list[bytes]:
    """The rows as the binary protocol has them, undecoded: those of a prepared statement."""
    names = ", ".join(quoted(column.name) for column in table.columns)
    where = f"{quoted(table.table.schema)}.{quoted(table.table.name)}"
    rows = []
    with server.connect(time_zone="+00:00") as connection:
        statement = connection.cmd_stmt_prepare(f"SELECT {names} FROM {where}".encode())
        connection.cmd_stmt_execute(statement["statement_id"])
        while not _ends(packet := bytes(connection._socket.recv())):
            rows.append(packet[4:])
        connection.unread_result = False
    return sorted(rows)


def _ends(packet: bytes) -> bool:
    """Whether a packet, behind its header of four bytes, is EOF; an error is no row either."""
    assert packet[4] != 0xFF, packet
    return packet[4] == 0xFE


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.value)
def test_all_routes_agree(server: Server, database: str, vault: Path, kind: Kind) -> None:
    if kind in NOT_THERE[server.kind] and kind in ONLY_HERE:
        with pytest.raises(AssertionError, match="sql failed"):
            fill(server, database, ONLY_HERE[kind])
        return
    tables = [found for one in named(kind, server) if (found := kept(server, database, one, kind))]
    assert bool(tables) != (kind in NOT_THERE[server.kind])
    for table in tables:
        specs = list(specs_of(table.table, table.columns, server.family))
        assert kind in {spec.kind for spec in specs}
        rows, before = printed(server, table, specs), facts(server, database, table.table.name)
        by_binary = binary(server, table)
        taken = take(server, vault, [pattern(database, table.table.name)], name=table.table.name)
        [entry] = taken.tables
        assert digest_of(specs, rows) == entry.digest
        server.sql(f"TRUNCATE {quoted(database)}.{quoted(table.table.name)}")
        assert put_back(server, vault, taken.id).status == "swapped"
        with connect(server.options(), Purpose.DIGEST) as connection:
            query = digest_query(table.table, specs, table.columns, server.family)
            assert parse_digest(connection.one(query)) == entry.digest
        assert facts(server, database, table.table.name) == before
        assert sorted(printed(server, table, specs), key=repr) == sorted(rows, key=repr)
        assert binary(server, table) == by_binary


def fill(server: Server, schema: str, sample: Sample) -> None:
    server.sql(MODE + ";\n".join(sample.statements(schema)) + ";")


def kept(server: Server, schema: str, sample: Sample, kind: Kind) -> TableDef | None:
    """The sample's table with just its columns of one kind; None when it has none."""
    fill(server, schema, sample)
    table = definition(server, schema, sample.name)
    specs = specs_of(table.table, table.columns, server.family)
    others = [spec.name for spec in specs if spec.kind is not kind and spec.name != "id"]
    if len(others) == len(specs) - 1 and not (kind is Kind.INT and sample.name == "integers"):
        return None
    if others:
        drops = ", ".join(f"DROP COLUMN {quoted(name)}" for name in others)
        server.sql(f"{MODE}ALTER TABLE {quoted(schema)}.{quoted(sample.name)} {drops}")
    return definition(server, schema, sample.name)
