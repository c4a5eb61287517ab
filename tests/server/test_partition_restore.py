"""One partition of a table comes back; the rows of the others stay as they are now."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tablevault.errors import CannotComplete, ConsentNeeded, LockNotGranted, UsageError
from tests.servers import ROOT, Server
from tests.support.cutover import Cut
from tests.support.facts import leftovers, show_create
from tests.support.roundtrip import pattern, put_back, take
from tests.support.shell import Shell

BODY = "id INT NOT NULL AUTO_INCREMENT, n INT NOT NULL, v VARCHAR(30), g INT AS (n * 2) STORED"
RANGES = (
    "(PARTITION p1 VALUES LESS THAN (100), PARTITION p2 VALUES LESS THAN (200), "
    "PARTITION p3 VALUES LESS THAN MAXVALUE)"
)
KINDS = {  # body and partitions, and which partition is restored
    "range": (f"({BODY}, PRIMARY KEY (id), KEY (v)) PARTITION BY RANGE (id) {RANGES}", "p2"),
    "range_columns": (
        f"({BODY}, PRIMARY KEY (id, n), UNIQUE KEY (n, id)) PARTITION BY RANGE COLUMNS (n, id) "
        "(PARTITION `odd ``p` VALUES LESS THAN (20, 5), "
        "PARTITION b VALUES LESS THAN (MAXVALUE, MAXVALUE))",
        "odd `p",
    ),
    "list": (
        f"({BODY}, PRIMARY KEY (id, n)) PARTITION BY LIST (n % 3) "
        "(PARTITION a VALUES IN (0), PARTITION b VALUES IN (1, 2))",
        "b",
    ),
    "hash": (f"({BODY}, PRIMARY KEY (id)) PARTITION BY LINEAR HASH (id) PARTITIONS 4", "p3"),
    "key": (f"({BODY}, PRIMARY KEY (id)) PARTITION BY KEY (id) PARTITIONS 3", "p0"),
    "sub": (
        f"({BODY}, PRIMARY KEY (id, n)) PARTITION BY RANGE (id) SUBPARTITION BY HASH (n) "
        f"SUBPARTITIONS 2 {RANGES}",
        "p2sp1",
    ),
    "no_key": (f"({BODY}, KEY (id)) PARTITION BY RANGE (id) {RANGES}", "p3"),
}
ROWS = ",".join(f"({n}, {n % 31}, 'v{n}')" for n in range(1, 300, 3))
RUIN = (
    "UPDATE t SET v = CONCAT('ruined ', id) WHERE id % 2; DELETE FROM t WHERE id % 5 = 0; "
    "INSERT INTO t (id, n, v) VALUES (2, 2, 'new'), (131, 7, 'new'), (1001, 8, 'new');"
)

Rows = list[tuple[str | None, ...]]


class Parted:
    """A table in partitions, snapshotted and then ruined."""

    def __init__(self, server: Server, database: str, vault: Path, kind: str = "range") -> None:
        self.server, self.database, self.vault = server, database, vault
        create, self.partition = KINDS[kind]
        server.sql(f"CREATE TABLE t {create}; INSERT INTO t (id, n, v) VALUES {ROWS};", database)
        self.was, self.others_was = self.rows(), self.rows(others=True)
        self.snapshot = take(server, vault, [pattern(database, "t")]).id
        server.sql(RUIN, database)
        self.ruined, self.others = self.rows(), self.rows(others=True)
        assert self.was != self.ruined
        assert self.others_was != self.others

    def rows(self, *, others: bool = False) -> Rows:
        """The rows of the partition in question, or of all others."""
        name = self.partition.replace("`", "``")
        inside = self.server.query(f"SELECT * FROM t PARTITION (`{name}`)", self.database)
        if not others:
            return sorted(inside, key=repr)
        everything = self.server.query("SELECT * FROM t", self.database)
        return sorted((row for row in everything if row not in inside), key=repr)

    def restored(self, **options: object) -> Cut:
        """Proven beside the live table."""
        done = put_back(
            self.server,
            self.vault,
            self.snapshot,
            swap=False,
            partition=self.partition,
            **options,
        )
        assert done.status == "proven"
        return Cut(self.server, self.vault, done.run)

    def assert_in_place(self) -> None:
        assert self.rows() == self.was
        assert self.rows(others=True) == self.others

    def assert_as_ruined(self) -> None:
        assert self.rows() == self.ruined
        assert self.rows(others=True) == self.others


@pytest.mark.parametrize("kind", KINDS)
def test_only_that_partition_comes_back(
    server: Server, database: str, vault: Path, kind: str, small_units: None
) -> None:
    parted = Parted(server, database, vault, kind)
    create = show_create(server, database, "t")
    cut = parted.restored()
    parted.assert_as_ruined()
    assert cut.swap().status == "swapped"
    parted.assert_in_place()
    assert show_create(server, database, "t") == create
    assert cut.swap().status == "swapped"  # again: nothing is left to be done
    parted.assert_in_place()
    assert cut.rollback(yes=kind == "no_key").status == "rolled back"
    parted.assert_as_ruined()
    assert show_create(server, database, "t") == create
    cut.cleanup()
    assert leftovers(server, database) == []
    parted.assert_as_ruined()


def test_in_one_command(server: Server, database: str, vault: Path) -> None:
    parted = Parted(server, database, vault)
    tool = Shell(server, vault)
    done = tool.json("restore", parted.snapshot, f"{database}.t", "--partition", "p2", "--swap")
    assert done["outcome"] == "swapped"
    assert done["partition"] == "p2"
    parted.assert_in_place()
    assert tool("cleanup", done["run"]).code == 0
    assert leftovers(server, database) == []


def test_rows_of_both_sides_are_counted(server: Server, database: str, vault: Path) -> None:
    parted = Parted(server, database, vault)
    cut = parted.restored()
    swapped = cut.swap()
    assert [table.new_rows for table in swapped.tables] == [1]  # 131
    assert any("1 rows of partition p2 are not in the snapshot" in hint for hint in swapped.hints)
    server.sql("INSERT INTO t (id, n, v) VALUES (132, 1, 'later'), (5, 1, 'later')", database)
    with pytest.raises(ConsentNeeded, match="1 rows written to partition p2 of"):
        cut.rollback()
    assert cut.rollback(yes=True).status == "rolled back"
    assert parted.rows() == parted.ruined


def test_ids_are_not_issued_twice(server: Server, database: str, vault: Path) -> None:
    parted = Parted(server, database, vault, "range")
    parted.partition = "p3"
    assert parted.restored().swap().findings == ()
    server.sql("INSERT INTO t (n, v) VALUES (1, 'next')", database)
    assert server.value("SELECT id FROM t WHERE v = 'next'", database) == "1002"


def test_a_table_in_use_is_not_waited_for(server: Server, database: str, vault: Path) -> None:
    parted = Parted(server, database, vault)
    cut = parted.restored()
    busy = server.connect(database=database, autocommit=False)
    cursor = busy.cursor()
    cursor.execute("SELECT COUNT(*) FROM t")
    cursor.fetchall()
    try:
        with pytest.raises(LockNotGranted, match=r"\.t: in use for"):
            cut.swap(lock_wait_s=2.0)
        parted.assert_as_ruined()
    finally:
        busy.close()
    assert cut.swap().status == "swapped"
    parted.assert_in_place()


@pytest.mark.parametrize("operation", ["swap", "rollback"])
def test_killed_at_every_step(
    server: Server, database: str, vault: Path, tmp_path: Path, operation: str
) -> None:
    parted = Parted(server, database, vault)
    steps = 0
    while True:
        cut = parted.restored()
        if operation == "rollback":
            cut.swap()
        if not _dies(server, cut, tmp_path, operation, steps):
            break
        live = parted.rows()
        assert live in (parted.was, parted.ruined)
        assert parted.rows(others=True) == parted.others
        result = getattr(cut, operation)(**({"yes": True} if operation == "rollback" else {}))
        assert result.status == {"swap": "swapped", "rollback": "rolled back"}[operation]
        assert parted.rows() == (parted.was if operation == "swap" else parted.ruined)
        assert parted.rows(others=True) == parted.others
        if operation == "swap":
            cut.rollback(yes=True)
        cut.cleanup()
        parted.assert_as_ruined()
        assert leftovers(server, database) == []
        steps += 1
    assert steps >= 7


def test_what_is_written_after_the_exchange_stays(
    server: Server, database: str, vault: Path, tmp_path: Path
) -> None:
    """Equal rows on both sides: only whose rows they are tells that the exchange was done."""
    parted = Parted(server, database, vault)
    parted.restored().swap()
    parted.ruined = parted.rows()
    cut = parted.restored()
    assert _dies(server, cut, tmp_path, "swap", 0, "swapped")
    server.sql("INSERT INTO t (id, n, v) VALUES (140, 1, 'written meanwhile')", database)
    assert cut.swap().status == "swapped"
    assert server.value("SELECT v FROM t WHERE id = 140", database) == "written meanwhile"


def _dies(server: Server, cut: Cut, folder: Path, operation: str, at: int, *begins: str) -> bool:
    """Whether it died at that journal entry; False when it came to its end before."""
    connection = {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": server.password,
    }
    told = {
        "connection": connection,
        "state": str(cut.state),
        "operation": operation,
        "run": cut.run,
    }
    options = folder / "options.json"
    options.write_text(json.dumps(told))
    first = begins or ("connections",)
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.dying", str(options), str(at), "before", *first],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.mark.parametrize(
    ("before", "options", "error", "words"),
    [
        ("", {"partition": "p9"}, UsageError, r"has no partition p9"),
        ("", {"partition": "P2"}, UsageError, r"has no partition P2"),
        ("", {"partition": ""}, UsageError, r"has no partition"),
        ("ALTER TABLE t ADD COLUMN more INT", {}, CannotComplete, "not defined as in the snapshot"),
        ("ALTER TABLE t REMOVE PARTITIONING", {}, CannotComplete, "not defined as in the snapshot"),
        ("DROP TABLE t", {}, CannotComplete, "not defined as in the snapshot"),
        ("", {"into": "elsewhere"}, UsageError, "goes into the live table"),
        ("", {"keep_new": True}, UsageError, "goes into the live table"),
    ],
)
def test_what_does_not_fit_is_refused_first(
    server: Server,
    database: str,
    vault: Path,
    before: str,
    options: dict[str, object],
    error: type[Exception],
    words: str,
) -> None:
    parted = Parted(server, database, vault)
    if before:
        server.sql(before, database)
    with pytest.raises(error, match=words):
        put_back(server, vault, parted.snapshot, **{"partition": "p2", "swap": False, **options})
    assert leftovers(server, database) == []


def test_a_table_without_partitions(server: Server, database: str, vault: Path) -> None:
    server.sql("CREATE TABLE plain (id INT PRIMARY KEY); CREATE TABLE more (id INT);", database)
    taken = take(server, vault, [pattern(database, "plain"), pattern(database, "more")])
    with pytest.raises(UsageError, match="has no partitions"):
        put_back(server, vault, taken.id, patterns=(f"{database}.plain",), partition="p")
    with pytest.raises(UsageError, match="of one table, but 2"):
        put_back(server, vault, taken.id, partition="p")


def test_a_definition_that_changes_before_the_swap(
    server: Server, database: str, vault: Path
) -> None:
    parted = Parted(server, database, vault)
    cut = parted.restored()
    server.sql("ALTER TABLE t ADD KEY more (n)", database)
    with pytest.raises(CannotComplete, match="not defined as in the snapshot"):
        cut.swap()
    parted.assert_as_ruined()
    server.sql("ALTER TABLE t DROP KEY more", database)
    assert cut.swap().status == "swapped"
    parted.assert_in_place()
