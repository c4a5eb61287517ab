"""Makes tests/golden/v1: a vault of format 1, to stay readable for ever.

    python tests/golden/make_v1.py

Run it once for a version of the format, never to make a failing test pass: what is committed is
what users have in their vaults.  Needs a MariaDB server, as the tests do.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tablevault.demo.server import PrivateServer  # noqa: E402
from tests.servers import Server  # noqa: E402
from tests.support.facts import columns, quoted  # noqa: E402
from tests.support.roundtrip import pattern, take  # noqa: E402
from tests.support.values import SAMPLES, Sample, special, special_rows  # noqa: E402

HERE = Path(__file__).resolve().parent / "v1"
SCHEMA = "tv_golden"
EXTRA = ("special", "none", "keyless", "odd `name/é")
# What tells nothing that another column does not: the vault is to stay small.
LEFT_OUT = frozenset(
    [
        "bit7",
        "bit16",
        "bit31",
        "bit33",
        "bit63",
        "bit9",
        "v4b",
        "c4",
        "c1",
        "tt",
        "mt",
        "lt",
        "t1",
        "ucs2",
        "utf32",
        "big5",
        "cp1250",
        "latin2",
        "e1",
        "s1",
        "s64",
        "d38_30",
        "d12_3z",
        "d1",
        "d30_30",
        "f53",
        "du",
        "fu",
        "dz",
        "fz",
        "t1",
        "t3",
        "dt3",
        "ts6",
        "mb",
        "lb",
        "tb",
        "cb",
        "tx",
        "smallint_z",
        "tinyint_z",
        "mediumint_u",
        "mediumint_z",
        "bigint_z",
        "g_multipoint",
        "g_multilinestring",
        "g_multipolygon",
    ]
)
_MODE = "SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00';\n"


def samples() -> list[Sample]:
    """The tables of values, without the columns that are left out."""
    return [
        dataclasses.replace(
            sample, columns=tuple(one for one in sample.columns if one[0] not in LEFT_OUT)
        )
        for sample in SAMPLES
    ]


def names() -> list[str]:
    """The tables of the golden snapshot."""
    return [*(sample.name for sample in samples()), *EXTRA]


def fill(server: Server) -> None:
    """Every type, every oddity, small."""
    server.sql(f"DROP DATABASE IF EXISTS {SCHEMA}; CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4;")
    for sample in samples():
        server.sql(_MODE + ";\n".join(sample.statements(SCHEMA)) + ";")
    odd = quoted(EXTRA[-1])
    rows = ";".join(special_rows(SCHEMA)).replace("{srid}", "0")
    server.sql(
        f"SET timestamp = 1700000000.123; CREATE TABLE {SCHEMA}.special ({special('mariadb')}) "
        f"CHARACTER SET utf8mb4; {rows};"
        f"CREATE TABLE {SCHEMA}.none (id INT PRIMARY KEY AUTO_INCREMENT) AUTO_INCREMENT=77;"
        f"CREATE TABLE {SCHEMA}.keyless (v INT, t TEXT);"
        f"INSERT INTO {SCHEMA}.keyless VALUES (1, 'a'), (1, 'a'), (NULL, NULL);"
        f"CREATE TABLE {SCHEMA}.{odd} (a INT, b VARCHAR(20), PRIMARY KEY (a, b DESC));"
        f"INSERT INTO {SCHEMA}.{odd} SELECT n % 7, CONCAT('k', n) FROM (WITH RECURSIVE "
        "r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 300) SELECT n FROM r) s;"
    )


def checksums(server: Server, schema: str = SCHEMA) -> dict[str, str]:
    """SHA-256 of all values in hexadecimal, sorted: the server's own words, on any version."""
    found = {}
    for name in names():
        cells = ", ".join(
            f"COALESCE(HEX(CONVERT({quoted(column)} USING binary)), 'NULL')"
            for column in columns(server, schema, name)
        )
        text = server.value(
            "SET SESSION group_concat_max_len = 100000000; SELECT CONCAT(COUNT(*), ':', "
            f"SHA2(COALESCE(GROUP_CONCAT(SHA2(CONCAT_WS(',', {cells}), 256) ORDER BY "
            f"SHA2(CONCAT_WS(',', {cells}), 256)), ''), 256)) FROM {schema}.{quoted(name)}"
        )
        assert text is not None
        found[name] = text
    return found


def main() -> None:
    """Make the vault anew."""
    shutil.rmtree(HERE, ignore_errors=True)
    with PrivateServer() as private:
        server = Server.of("mariadb", private)
        fill(server)
        take(
            server,
            HERE,
            [pattern(SCHEMA, name) for name in names()],
            name="golden",
            chunk_bytes=2000,
        )
        facts = {"schema": SCHEMA, "tables": checksums(server)}
    for hidden in HERE.glob(".*"):
        shutil.rmtree(hidden) if hidden.is_dir() else hidden.unlink()
    (HERE.parent / "v1.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    size = sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file())
    print(f"{HERE}: {size} bytes")


if __name__ == "__main__":
    main()
