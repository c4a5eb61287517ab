"""The tables that are measured: TPC-H by scale factor, and shapes that stress one thing each.

`lineitem`, `orders`, `customer`: TPC-H, primary key and two secondary indexes each.
`nokey`: the rows of lineitem without any key.  `narrow`: two integers a row.
`wide`: long texts and blobs.  `skewed`: a dense and a sparse key region, few rows that are large.
All are the same at every run: what is random comes from a fixed seed.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from harness import say

from tablevault.demo import data as tpch
from tablevault.demo.server import PrivateServer

SCHEMA = "bench"
_LOAD = "FIELDS TERMINATED BY '|' LINES TERMINATED BY '|\\n'"
_OWN = {
    "nokey": tpch.TABLES["lineitem"].partition("PRIMARY KEY")[0].rstrip().rstrip(","),
    "narrow": "id INT NOT NULL PRIMARY KEY, v INT NOT NULL, KEY v (v)",
    "wide": "id BIGINT NOT NULL PRIMARY KEY, title VARCHAR(200) NOT NULL, body LONGTEXT NOT NULL,"
    " picture LONGBLOB, KEY title (title)",
    "skewed": "id BIGINT NOT NULL PRIMARY KEY, v INT NOT NULL, note LONGTEXT NOT NULL, KEY v (v)",
}
TABLES = (*tpch.TABLES, *_OWN)
_NARROW_ROWS, _WIDE_ROWS, _SKEWED_ROWS = 10_000_000, 20_000, 2_000_000  # of a unit of scale


def load(server: PrivateServer, table: str, scale: float, schema: str = SCHEMA) -> int:
    """Create `schema`.`table` and fill it; return its number of rows."""
    say(f"loading {schema}.{table}, scale {scale:g}")
    columns = _OWN.get(table) or tpch.TABLES[table]
    server.sql(
        f"CREATE DATABASE IF NOT EXISTS {schema} CHARACTER SET utf8mb4;"
        f"CREATE TABLE {schema}.{table} ({columns}) ENGINE=InnoDB;"
    )
    folder = server.directory / "input"
    shutil.rmtree(folder, ignore_errors=True)
    if table in tpch.TABLES or table == "nokey":
        _load_tpch(server, table, scale, schema, folder)
    else:
        folder.mkdir()
        fill: dict[str, Callable[[PrivateServer, str, float, Path], None]] = {
            "narrow": _fill_narrow,
            "wide": _fill_wide,
            "skewed": _fill_skewed,
        }
        fill[table](server, schema, scale, folder)
    shutil.rmtree(folder)
    server.sql(f"ANALYZE TABLE {schema}.{table}")
    return rows(server, table, schema)


def rows(server: PrivateServer, table: str, schema: str = SCHEMA) -> int:
    """How many rows a table has."""
    return int(server.sql(f"SELECT COUNT(*) FROM {schema}.{table}"))


def secondary_indexes(server: PrivateServer, table: str) -> list[str]:
    """The definitions of its secondary indexes, as SHOW CREATE TABLE writes them."""
    text = server.sql(f"SHOW CREATE TABLE {SCHEMA}.{table}").replace("\\n", "\n")
    lines = (line.strip().rstrip(",") for line in text.splitlines())
    return [line for line in lines if line.startswith(("KEY ", "UNIQUE KEY "))]


def _load_tpch(server: PrivateServer, table: str, scale: float, schema: str, folder: Path) -> None:
    tpch.generate(folder, scale)
    file = folder / f"{'lineitem' if table == 'nokey' else table}.tbl"
    _load_file(server, schema, table, file, _LOAD)


def _load_file(server: PrivateServer, schema: str, table: str, file: Path, how: str = "") -> None:
    server.sql(f"SET sql_log_bin = 0; LOAD DATA INFILE '{file}' INTO TABLE {table} {how};", schema)


def _fill_narrow(server: PrivateServer, schema: str, scale: float, folder: Path) -> None:
    count = int(_NARROW_ROWS * scale)
    server.sql(
        "SET sql_log_bin = 0;"
        f"INSERT INTO narrow SELECT seq, CRC32(seq) & 0xFFFFFF FROM seq_1_to_{count}",
        schema,
    )


def _fill_wide(server: PrivateServer, schema: str, scale: float, folder: Path) -> None:
    """4 to 24 KB of words and, in half of the rows, 16 KB that do not compress."""
    chance = random.Random(1)
    words = _words(chance, 1 << 20)
    file = folder / "wide.tsv"
    with file.open("w") as out:
        for number in range(int(_WIDE_ROWS * scale)):
            start, size = chance.randrange(len(words) - 24_000), chance.randrange(4_000, 24_000)
            picture = chance.randbytes(16_000).hex() if number % 2 else ""
            out.write(f"{number}\t{words[start : start + 60]}\t{words[start : start + size]}")
            out.write(f"\t{picture}\n")
    how = "(id, title, body, @picture) SET picture = NULLIF(UNHEX(@picture), '')"
    _load_file(server, schema, "wide", file, how)


def _fill_skewed(server: PrivateServer, schema: str, scale: float, folder: Path) -> None:
    """Nine of ten keys are dense, the others far apart; one row of 2,000 is 200 KB."""
    chance = random.Random(2)
    words = _words(chance, 1 << 20)
    count, key = int(_SKEWED_ROWS * scale), 0
    file = folder / "skewed.tsv"
    with file.open("w") as out:
        for number in range(count):
            key += 1 if number < count * 0.9 else chance.randrange(1 << 36)
            size = 200_000 if number % 2_000 == 0 else chance.randrange(10, 60)
            start = chance.randrange(len(words) - size)
            out.write(f"{key}\t{chance.randrange(100)}\t{words[start : start + size]}\n")
    _load_file(server, schema, "skewed", file)


def _words(chance: random.Random, size: int) -> str:
    syllables = [a + b for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u", "an", "er")]
    vocabulary = [
        "".join(chance.choices(syllables, k=chance.randrange(1, 4))) for _ in range(4_000)
    ]
    text: list[str] = []
    length = 0
    while length < size:
        # Squared: few words are frequent, most are rare.
        word = vocabulary[int(len(vocabulary) * chance.random() ** 2)]
        text.append(word)
        length += len(word) + 1
    return " ".join(text)
