"""Keys of every kind are walked, cut into ranges that tile, loaded and proven range by range."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tablevault.model import KeyRange
from tablevault.ops import consistent
from tablevault.vault.chunklist import read_chunks
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.facts import facts, quoted
from tests.support.roundtrip import pattern, put_back, round_trip, take
from tests.support.shell import Shell
from tests.support.values import u, x

pytestmark = pytest.mark.usefixtures("small_units")

ROWS = 60
_words = [
    "",
    "a",
    "A",
    "b",
    "B ",
    "ä",
    "Ä",
    "z",
    "Z",
    "é",
    "e",
    "ss",
    "ß",
    "😀",
    "😁",
    "日本",
    "%",
    "_",
    "\\",
    "'",
    "tab\t",
    "nul\0x",
    "10",
    "9",
    "a/b",
    "~",
    "ﬀ",
    "\u0131",  # a dotless i
    "I",
    "İ",
    "zz top",
    "Zebra",
]


def numbers(rng: random.Random) -> list[str]:
    edge = [-(1 << 63), -(1 << 63) + 1, -1, 0, 1, (1 << 63) - 1, (1 << 63) - 2]
    return [str(n) for n in {*edge, *(rng.randrange(-(10**18), 10**18) for _ in range(ROWS))}]


def words(binary: bool) -> list[str]:
    """Distinct in any collation, those that only differ in case or accent only in a binary one."""
    if binary:
        return [u(word) for word in _words]
    return [u(f"{number:02d}{word}") for number, word in enumerate(_words)]


def key_cases() -> dict[str, tuple[str, list[str]]]:
    """Name → (columns and key, values of the key columns)."""
    rng = random.Random(7)
    pairs = [f"{a}, {b}" for a in range(8) for b in range(-4, 4)]
    stamps = [f"'20{n:02d}-{n % 12 + 1:02d}-11 10:11:12.{n:06d}'" for n in range(ROWS)]
    texts = [f"{word}, {n}" for n, word in enumerate(words(binary=False))]
    cases = {
        "int": ("k INT PRIMARY KEY", [str(n * n) for n in range(-30, 1)]),
        "bigint_limits": ("k BIGINT PRIMARY KEY", numbers(rng)),
        "bigint_unsigned": (
            "k BIGINT UNSIGNED PRIMARY KEY",
            [str(n) for n in (0, 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1, *range(5, 60, 7))],
        ),
        "zerofill": ("k INT(8) ZEROFILL PRIMARY KEY", [str(n * 7) for n in range(ROWS)]),
        "composite": ("a INT, b INT, PRIMARY KEY (a, b)", pairs),
        "composite_text": (
            "a VARCHAR(40) CHARACTER SET utf8mb4, b INT, PRIMARY KEY (a, b)",
            texts,
        ),
        "decimal": (
            "k DECIMAL(30,10) PRIMARY KEY",
            [f"{rng.randrange(-(10**18), 10**18)}.{n:010d}" for n in range(ROWS)],
        ),
        "datetime": ("k DATETIME(6) PRIMARY KEY", stamps),
        "timestamp": ("k TIMESTAMP(6) NOT NULL PRIMARY KEY", stamps[:30]),
        "date": ("k DATE PRIMARY KEY", [f"'20{n:02d}-02-03'" for n in range(ROWS)]),
        "time": (
            "k TIME(3) PRIMARY KEY",
            [f"'{s}{n * 13}:00:00.5'" for n in range(1, 30) for s in ("", "-")],
        ),
        "year": ("k YEAR PRIMARY KEY", [str(1950 + n) for n in range(ROWS)]),
        "binary": (
            "k BINARY(4) PRIMARY KEY",
            [x(bytes([n * 4 % 256, n, 0, 0])) for n in range(ROWS)],
        ),
        "varbinary": (
            "k VARBINARY(9) PRIMARY KEY",
            [x(bytes([n]) + b"\0" * (n % 3)) for n in range(0, 256, 5)],
        ),
        "bit": ("k BIT(40) PRIMARY KEY", [str(n << 33 | n) for n in range(ROWS)]),
        "enum": (
            "k ENUM('z','a','m','b','0') , n INT, PRIMARY KEY (k, n)",
            [f"'{e}', {n}" for e in "zamb0" for n in range(9)],
        ),
        "unique_only": (
            "k INT NOT NULL, n INT, UNIQUE KEY uk (k)",
            [f"{n * 3}, NULL" for n in range(ROWS)],
        ),
        "unique_nullable": (
            "k INT, UNIQUE KEY uk (k)",
            [*(str(n) for n in range(ROWS)), "NULL", "NULL"],
        ),
        "no_key": ("k INT, t VARCHAR(9)", [f"{n % 5}, 'x'" for n in range(ROWS)]),
        "prefix_key": (
            "k VARCHAR(300) CHARACTER SET latin1 NOT NULL, PRIMARY KEY (k(3))",
            [f"'{n:03d}long'" for n in range(ROWS)],
        ),
        "float_key": ("k DOUBLE PRIMARY KEY", [f"{n * 1.1!r}" for n in range(ROWS)]),
    }
    for collation in (
        "utf8mb4_general_ci",
        "utf8mb4_unicode_ci",
        "utf8mb4_bin",
        "latin1_swedish_ci",
        "latin1_bin",
        "utf8mb3_general_ci",
        "ascii_bin",
        "ucs2_general_ci",
    ):
        charset = collation.split("_")[0]
        four = charset == "utf8mb4"
        chosen = [
            word
            for word in words(binary=collation.endswith("_bin"))
            if four
            or (charset == "ascii" and all(ord(c) < 128 for c in word))
            or charset != "ascii"
        ]
        if not four:
            chosen = [
                u(f"{n:02d}{w}")
                for n, w in enumerate(_words)
                if w.isascii() or (charset != "ascii" and w in "äÄéeßss")
            ]
        cases[f"varchar_{collation}"] = (
            f"k VARCHAR(60) CHARACTER SET {charset} COLLATE {collation} PRIMARY KEY",
            chosen,
        )
    return cases


CASES = key_cases()
UNKEYED = {"no_key", "prefix_key", "float_key"}


def create(server: Server, schema: str, name: str, columns: str, values: list[str]) -> None:
    shuffled = list(values)
    random.Random(3).shuffle(shuffled)
    rows = ", ".join(f"({value}, REPEAT('x', {100 + n}))" for n, value in enumerate(shuffled))
    keys = ("k", "a", "b", "n", "t")
    words = dict.fromkeys(part.split()[0] for part in columns.replace(")", " ").split(", "))
    names = "".join(f"{word}, " for word in words if word in keys)
    server.sql(
        f"CREATE TABLE {quoted(schema)}.{quoted(name)} ({columns}, filler VARCHAR(900)) "
        f"CHARACTER SET utf8mb4; INSERT INTO {quoted(schema)}.{quoted(name)} ({names}filler) "
        f"VALUES {rows};"
    )


def test_keys_of_every_kind(server: Server, database: str, vault: Path) -> None:
    for name, (columns, values) in CASES.items():
        create(server, database, name, columns, values)
    before = {name: facts(server, database, name) for name in CASES}
    taken = take(server, vault, [f"{database}.*"], chunk_bytes=1, threads=3)
    keyed = {entry.definition.table.name for entry in taken.tables if entry.definition.key}
    assert keyed == set(CASES) - UNKEYED
    for entry in taken.tables:
        name = entry.definition.table.name
        assert entry.digest.rows == len(before[name].values), name
        if name in keyed:
            assert entry.chunk_count >= len(CASES[name][1]) // 3, name
    for name in CASES:
        server.sql(f"DELETE FROM {database}.{quoted(name)} LIMIT 7")
    put_back(server, vault, taken.id, threads=3)
    for name in CASES:
        after = facts(server, database, name)
        assert after.values == before[name].values, name
        assert after.checksum == before[name].checksum or name in UNKEYED, name
        assert after.create == before[name].create, name


def test_descending_and_mixed_keys(server: Server, database: str, vault: Path) -> None:
    pairs = [f"{a}, {b}" for a in range(6) for b in range(6)]
    cases = {
        "down": "a INT, b INT, PRIMARY KEY (a DESC, b)",
        "up": "a INT, b INT, PRIMARY KEY (a, b DESC)",
    }
    for name, columns in cases.items():
        create(server, database, name, columns, pairs)
    for name, (before, after) in round_trip(
        server, vault, database, list(cases), chunk_bytes=1
    ).items():
        assert len(after.values) == 36
        assert (after.checksum, after.values) == (before.checksum, before.values), name
    store = open_store(str(vault))
    [folder] = [item for item in vault.iterdir() if (item / "manifest.json").exists()]
    assert len(list(folder.glob("*/*/*.parquet"))) > 20
    assert store is not None


def test_row_groups_are_smaller_than_chunks(server: Server, database: str, vault: Path) -> None:
    create(server, database, "t", "k INT PRIMARY KEY", [str(n) for n in range(200)])
    taken = take(server, vault, [f"{database}.t"])
    [entry] = taken.tables
    [chunk] = read_chunks(open_store(str(vault)), taken.id, entry)
    assert len(chunk.row_groups) > 10
    before = facts(server, database, "t")
    server.sql(f"UPDATE {database}.t SET filler = 'ruined'")
    put_back(server, vault, taken.id, threads=3)
    assert facts(server, database, "t") == before


def test_tables_of_no_row_and_one_row(server: Server, database: str, vault: Path) -> None:
    server.sql(
        f"CREATE TABLE {database}.none (id INT PRIMARY KEY AUTO_INCREMENT, v INT) "
        "AUTO_INCREMENT=77;"
        f"CREATE TABLE {database}.nokey (v INT);"
        f"CREATE TABLE {database}.one (id INT PRIMARY KEY, v INT);"
        f"CREATE TABLE {database}.no_columns_but_key (id INT PRIMARY KEY);"
        f"INSERT INTO {database}.one VALUES (1, NULL);"
        f"INSERT INTO {database}.no_columns_but_key VALUES (3), (1);"
    )
    names = ["none", "nokey", "one", "no_columns_but_key"]
    for before, after in round_trip(server, vault, database, names).values():
        assert after == before


NAMES = [
    "n" * 64,
    "ü" * 64,
    "quo\"te's `and` ticks",
    "line\nbreak\ttab",
    "a/b/../../c",
    "..",
    "dots.in.it",
    "sp ace",
    "日本語",
    "%_*?[a]",
    "-rf",
    "back\\slash",
    "SELECT",
    "#sql-x",
    "a;b--c/*d*/",
]


def test_names_that_are_hard_to_quote(server: Server, database: str, vault: Path) -> None:
    for number, name in enumerate(NAMES):
        server.sql(
            f"CREATE TABLE {quoted(database)}.{quoted(name)} ({quoted(name[:60] + 'c')} INT "
            f"PRIMARY KEY, v INT, KEY {quoted('k' + name[:60])} (v)); "
            f"INSERT INTO {quoted(database)}.{quoted(name)} VALUES (1, {number}), (2, NULL);"
        )
    for name, (before, after) in round_trip(server, vault, database, NAMES, chunk_bytes=1).items():
        assert after == before, name
    for path in vault.rglob("*.parquet"):
        assert vault in path.resolve().parents


def test_several_schemas_in_one_snapshot(server: Server, database: str, vault: Path) -> None:
    other = f"{database} ö`x"
    server.sql(f"DROP DATABASE IF EXISTS {quoted(other)}; CREATE DATABASE {quoted(other)};")
    try:
        for schema in (database, other):
            create(server, schema, "t", "k INT PRIMARY KEY", [str(n) for n in range(20)])
        server.sql(f"UPDATE {quoted(other)}.t SET filler = 'another'")
        before = {schema: facts(server, schema, "t") for schema in (database, other)}
        assert before[database] != before[other]
        taken = take(server, vault, [pattern(database, "t"), pattern(other, "t")], chunk_bytes=1)
        for schema in (database, other):
            server.sql(f"TRUNCATE {quoted(schema)}.t")
        put_back(server, vault, taken.id)
        assert {schema: facts(server, schema, "t") for schema in (database, other)} == before
    finally:
        server.sql(f"DROP DATABASE IF EXISTS {quoted(other)};")


def test_a_key_that_lets_nulls_in(
    server: Server, database: str, vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows with a NULL are the first chunk, alone; too many of them, and it is no key."""
    rows = ", ".join(f"({number if number % 3 else 'NULL'}, {number % 5})" for number in range(200))
    server.sql(
        f"CREATE TABLE {database}.t (k INT NULL, v INT, UNIQUE KEY (k)); "
        f"INSERT INTO {database}.t VALUES {rows};"
    )
    taken = take(server, vault, [f"{database}.t"], chunk_bytes=1)
    [entry] = taken.tables
    assert "nullable-keys" in taken.features
    first, *others = read_chunks(open_store(str(vault)), taken.id, entry)
    assert first.range == KeyRange(nulls=True) and first.digest.rows == 67
    assert len(others) > 10 and sum(one.digest.rows for one in others) == 133
    monkeypatch.setattr(consistent, "MOST_NULL_BYTES", 100)
    again = take(server, vault, [f"{database}.t"], chunk_bytes=1)
    assert again.tables[0].definition.key is None
    assert again.tables[0].digest == entry.digest
    assert any("have a NULL in key `k`" in hint for hint in again.hints)


def test_a_diff_tells_no_rows_apart_by_a_key_that_lets_nulls_in(
    server: Server, database: str, vault: Path
) -> None:
    server.sql(
        f"CREATE TABLE {database}.t (k INT NULL, v INT, UNIQUE KEY (k)); "
        f"INSERT INTO {database}.t VALUES (NULL, 1), (NULL, 2), (3, 3), (4, 4);"
    )
    taken = take(server, vault, [f"{database}.t"])
    tool = Shell(server, vault)
    assert tool("diff", taken.id).code == 0
    server.sql(f"UPDATE {database}.t SET v = 9 WHERE v = 2")
    assert tool("diff", taken.id).code == 3
