"""What another reader of the Parquet files sees: natural types, natural values."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from tests.servers import Server
from tests.support.roundtrip import take

CREATE = """
SET time_zone = '+00:00', sql_mode = '';
CREATE TABLE t (
  id INT PRIMARY KEY, u BIGINT UNSIGNED, d DECIMAL(10,2), f DOUBLE, day DATE, moment DATETIME(6),
  ts TIMESTAMP(3) NULL, y YEAR, e ENUM('ä','b'), koi VARCHAR(20) CHARACTER SET koi8r,
  gbk TEXT CHARACTER SET gbk, wide VARCHAR(20) CHARACTER SET utf16,
  sjis VARCHAR(20) CHARACTER SET sjis, raw VARBINARY(8), j JSON
);
INSERT INTO t VALUES
  (1, 18446744073709551615, -12.50, 0.1, '2024-02-29', '1969-12-31 23:59:59.999999',
   '2024-03-31 01:00:00.5', 2024, 'ä', 'жук', '中文', 'ä😀', '表ア', X'00FF', '[1, "x"]'),
  (2, 0, 0, 0, '0000-00-00', '2020-00-00', NULL, 0, 'b', '', '', '', '', '', 'null');
"""


def test_duckdb_and_arrow_see_what_one_expects(server: Server, database: str, vault: Path) -> None:
    server.sql(CREATE, database)
    taken = take(server, vault, [f"{database}.t"])
    parts = str(vault / taken.id / database / "t" / "*.parquet")
    with duckdb.connect() as duck:
        duck.execute("SET TimeZone = 'UTC'")
        first, second = duck.execute(
            "SELECT id, u, d, f, day, moment, epoch_ms(ts), y, e, koi, gbk, wide, sjis, raw, j, "
            f"__tablevault_exact IS NULL FROM read_parquet('{parts}') ORDER BY id"
        ).fetchall()
        types = dict(
            duck.execute(
                f"SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet('{parts}'))"
            ).fetchall()
        )
    moment = dt.datetime(2024, 3, 31, 1, 0, 0, 500_000, dt.UTC)
    assert first[:9] == (
        *(1, 18446744073709551615, Decimal("-12.50"), 0.1, dt.date(2024, 2, 29)),
        dt.datetime(1969, 12, 31, 23, 59, 59, 999_999),
        *(int(moment.timestamp() * 1000), 2024, "ä"),
    )
    assert first[9:13] == ("жук", "中文", "ä😀", "表ア")
    assert first[13] == b"\x00\xff"
    assert first[14].replace(" ", "") == '[1,"x"]'
    assert first[15] is True
    # what no DATE can be is NULL there, and its text is in the extra column
    assert second[4:6] == (None, None)
    assert second[15] is False
    assert types["u"] == "UBIGINT"
    assert types["d"] == "DECIMAL(10,2)"
    assert types["ts"] == "TIMESTAMP WITH TIME ZONE"
    assert {types[name] for name in ("e", "koi", "gbk", "wide", "sjis", "j")} == {"VARCHAR"}
    [path] = (vault / taken.id / database / "t").glob("*.parquet")
    table = pq.read_table(path)
    assert table.column("koi").to_pylist() == ["жук", ""]
