"""Kinds of tables with ways of their own, killed in the midst of a restore: it goes on to its end.

What cannot be gone on with (no transactions, no key) is loaded again; the live table is whole.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tablevault.ops.options import RestoreOptions
from tablevault.ops.restore import resume
from tablevault.ops.swap import cleanup, rollback
from tablevault.vault.journal import read_journal
from tablevault.vault.store import open_store
from tests.servers import ROOT, Server
from tests.support.facts import Facts, facts, leftovers
from tests.support.roundtrip import pattern, take
from tests.support.shell import Shell

KILLER = ROOT / "tests" / "faults" / "killer.py"
# where a step may be half done, or done and not told: the middle one of each kind of entry
MOMENTS = {
    "creating": "after",
    "loading": "after",
    "proven": "before",
    "indexing": "after",
    "table proven": "before",
}
NUMBERS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 900)"

VERSIONED = f"""
CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(200), n INT, KEY (n)) WITH SYSTEM VERSIONING;
INSERT INTO t {NUMBERS} SELECT n, REPEAT(SHA2(n, 256), 3), n FROM r;
UPDATE t SET n = n + 1; UPDATE t SET n = n + 1 WHERE id % 3 = 0; DELETE FROM t WHERE id % 5 = 0;
"""
BARE = f"""
CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(200), n INT, KEY (n)) ENGINE=MyISAM;
INSERT INTO t {NUMBERS} SELECT n, REPEAT(SHA2(n, 256), 3), n FROM r;
"""
KEYLESS = f"""
CREATE TABLE t (id INT, a VARCHAR(200), n INT, KEY (n)) ENGINE=MyISAM;
INSERT INTO t {NUMBERS} SELECT n % 5, REPEAT(SHA2(n, 256), 3), n FROM r;
"""
LAX = f"""
CREATE TABLE t (id INT NULL, a VARCHAR(200), n INT, UNIQUE KEY u (id), KEY (n));
INSERT INTO t {NUMBERS} SELECT IF(n % 4, n, NULL), REPEAT(SHA2(n % 40, 256), 3), n FROM r;
"""


class Odd:
    """A table called t, its snapshot, and the live one that was changed since."""

    def __init__(
        self,
        server: Server,
        schema: str,
        vault: Path,
        create: str,
        change: str = "DELETE FROM t LIMIT 7",
    ) -> None:
        self.server, self.schema, self.vault = server, schema, vault
        server.sql(f"{create}; ANALYZE TABLE t;", schema)
        self.then = self.facts()
        take(server, vault, [pattern(schema, "t")], chunk_bytes=50_000)
        server.sql(change, schema)
        self.live = self.facts()
        assert self.live != self.then

    def facts(self) -> Facts:
        return facts(self.server, self.schema, "t")

    def restore(self, when: str) -> tuple[str, list[str]]:
        """By the command line, which kills itself: the run, and what its journal tells."""
        words = ["restore", "latest", "--swap", "--indexes", "after", *self.server.arguments()]
        done = subprocess.run(
            [sys.executable, str(KILLER), when, *words, "--vault", str(self.vault), "-q"],
            env=Shell(self.server, self.vault).environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=90,
        )
        wanted = 0 if when.startswith("never") else -signal.SIGKILL
        assert done.returncode == wanted, f"{when}: {done.stderr.decode()}"
        # by time: of two runs of one second the ids do not say which came first
        newest = max((self.vault / ".runs").iterdir(), key=lambda path: path.stat().st_ctime_ns)
        run = newest.name
        return run, [entry["kind"] for entry in read_journal(self.vault / ".runs" / run)]

    def go_on(self, run: str) -> None:
        now, store = RestoreOptions(swap=True), open_store(str(self.vault))
        done = resume(self.server.options(), store, run, self.vault / ".runs", now=now)
        assert (done.status, self.facts()) == ("swapped", self.then)

    def undo(self, run: str) -> None:
        runs = self.vault / ".runs"
        rollback(self.server.options(), run, runs, yes=True)
        cleanup(self.server.options(), run, runs)
        assert self.facts() == self.live
        assert leftovers(self.server, self.schema) == []

    def kill_everywhere(self) -> None:
        """Whenever it is killed, the live table is whole, and the run comes to its end."""
        run, kinds = self.restore("never:-1")
        assert self.facts() == self.then
        self.undo(run)
        assert kinds.count("loading") > 3
        for kind, side in MOMENTS.items():
            places = [number for number, one in enumerate(kinds) if one == kind]
            when = f"{side}:{places[len(places) // 2]}"
            run, _ = self.restore(when)
            assert self.facts() == self.live, when
            self.go_on(run)
            self.undo(run)


def test_a_versioned_table(mariadb: Server, database: str, vault: Path) -> None:
    Odd(mariadb, database, vault, VERSIONED).kill_everywhere()


def test_a_table_without_transactions(server: Server, database: str, vault: Path) -> None:
    Odd(server, database, vault, BARE).kill_everywhere()


def test_a_table_without_transactions_and_key(
    mariadb: Server, database: str, vault: Path, small_units: None
) -> None:
    Odd(mariadb, database, vault, KEYLESS).kill_everywhere()


def test_a_sequence(mariadb: Server, database: str, vault: Path) -> None:
    again = "ALTER SEQUENCE t RESTART 1"
    odd = Odd(mariadb, database, vault, "CREATE SEQUENCE t NOCACHE; DO NEXTVAL(t)", again)
    run, kinds = odd.restore("never:-1")
    assert odd.facts() == odd.then
    for kind, side in MOMENTS.items():
        if kind in kinds:
            mariadb.sql(again, database)
            run, _ = odd.restore(f"{side}:{kinds.index(kind)}")
            assert odd.facts() == odd.live
            odd.go_on(run)
            cleanup(mariadb.options(), run, vault / ".runs")


def test_a_table_with_a_nullable_key(mariadb: Server, database: str, vault: Path) -> None:
    Odd(mariadb, database, vault, LAX).kill_everywhere()
