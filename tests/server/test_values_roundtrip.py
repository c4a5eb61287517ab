"""Every value comes back byte for byte: snapshot, ruin, restore, and a look from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tablevault.errors import Unsupported
from tablevault.ops.options import RestoreOptions, SnapshotOptions
from tablevault.ops.restore import restore
from tablevault.ops.snapshot import snapshot
from tablevault.ops.verify import verify
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.facts import Facts, facts, leftovers
from tests.support.values import SAMPLES, Sample, special, special_rows

_MODE = "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00';\n"


def fill(server: Server, schema: str, sample: Sample) -> None:
    server.sql(_MODE + ";\n".join(sample.statements(schema)) + ";")


def snapshot_ruin_restore(
    server: Server, vault: Path, schema: str, names: list[str], **options: object
) -> dict[str, tuple[Facts, Facts]]:
    """Facts of each table before the snapshot and after its restore."""
    before = {name: facts(server, schema, name) for name in names}
    store = open_store(str(vault), create=True)
    taken = snapshot(
        server.options(),
        store,
        SnapshotOptions(patterns=tuple(f"{schema}.{name}" for name in names), **options),  # type: ignore[arg-type]
    )
    verified = verify(store, taken.id, depth="rows")
    assert verified.findings == ()
    assert verified.rows_checked == sum(len(one.values) for one in before.values())
    for name in names:
        server.sql(f"TRUNCATE `{schema}`.`{name}`")
    result = restore(
        server.options(), store, taken.id, RestoreOptions(swap=True), vault / ".runs"
    )
    assert result.status == "swapped"
    return {name: (before[name], facts(server, schema, name)) for name in names}


def assert_same(before: Facts, after: Facts) -> None:
    assert after.create == before.create
    assert after.values == before.values
    assert after.checksum == before.checksum


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_every_type_comes_back(
    server: Server, database: str, vault: Path, sample: Sample
) -> None:
    fill(server, database, sample)
    [(before, after)] = snapshot_ruin_restore(server, vault, database, [sample.name]).values()
    assert len(before.values) > 2
    assert_same(before, after)


def test_what_stands_around_values_comes_back(server: Server, database: str, vault: Path) -> None:
    srid = "4326" if server.family == "mysql" else "0"
    rows = ";".join(special_rows(database)).replace("{srid}", srid)
    server.sql(
        f"CREATE TABLE `{database}`.special ({special(server.family)}) CHARACTER SET utf8mb4 "
        f"COMMENT 'with ''quotes'' and `ticks`'; {rows};"
    )
    [(before, after)] = snapshot_ruin_restore(server, vault, database, ["special"]).values()
    assert len(before.values) == 5
    assert_same(before, after)
    # it works as it did: the next id, the defaults, the check
    server.sql(
        f"INSERT INTO `{database}`.special (name, g, positive) VALUES ('new', "
        f"ST_GeomFromText('POINT(1 1)', {srid}), 5)"
    )
    assert server.query(
        f"SELECT id, virt, stor, hidden, amount, tag FROM `{database}`.special WHERE name = 'new'"
    ) == [("1001", "14", "new-x", "7", "2.00", "ab")]
    with pytest.raises(AssertionError, match="positive|CONSTRAINT|constraint"):
        server.sql(f"UPDATE `{database}`.special SET positive = -1 WHERE id = 1")
    assert leftovers(server, database)  # the old table is kept until cleanup


def test_the_error_value_of_an_enum(server: Server, database: str, vault: Path) -> None:
    """Ordinal 0, let in by a lax sql_mode: stored exactly where '' is no member, else refused."""
    server.sql(
        f"SET sql_mode = ''; CREATE TABLE `{database}`.told (id INT PRIMARY KEY, e ENUM('a','b'));"
        f"CREATE TABLE `{database}`.alike (id INT PRIMARY KEY, e ENUM('','b'));"
        f"INSERT INTO `{database}`.told SELECT seq.n, IF(n % 3, 'junk', 'a') FROM (WITH RECURSIVE "
        f"r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 200) SELECT n FROM r) seq;"
        f"INSERT INTO `{database}`.alike VALUES (1, ''), (2, 'b');"
    )
    for before, after in snapshot_ruin_restore(server, vault, database, ["told", "alike"]).values():
        assert_same(before, after)
    assert server.value(f"SELECT SUM(e = 0) FROM `{database}`.told") == "134"
    server.sql(f"SET sql_mode = ''; INSERT INTO `{database}`.alike VALUES (3, 'junk');")
    with pytest.raises(Unsupported, match=r"alike: ENUM `e` holds the error value"):
        snapshot(
            server.options(),
            open_store(str(vault)),
            SnapshotOptions(patterns=(f"{database}.alike",)),
        )


def test_small_chunks_and_row_groups_and_one_thread(
    server: Server, database: str, vault: Path
) -> None:
    sample = next(one for one in SAMPLES if one.name == "texts")
    fill(server, database, sample)
    fill(server, database, SAMPLES[0])
    pairs = snapshot_ruin_restore(
        server, vault, database, ["texts", "integers"], chunk_bytes=200, threads=1
    )
    for before, after in pairs.values():
        assert_same(before, after)
    assert len(list(vault.glob("*/*/*/part-*.parquet"))) > 10
