"""SIGKILL at every journal entry of a cut-over, before and after: settled by one more command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tablevault.vault.journal import read_journal
from tests.servers import ROOT, Server
from tests.support.cutover import (
    FAMILY,
    Cut,
    definitions,
    key_to,
    own_tables,
    trigger_list,
)
from tests.support.roundtrip import pattern, put_back, take

TIES = """
CREATE TABLE log (what INT);
CREATE TRIGGER first_one BEFORE INSERT ON customer FOR EACH ROW SET NEW.touched = 1;
CREATE TRIGGER second_one BEFORE INSERT ON customer FOR EACH ROW SET NEW.touched = NEW.touched + 1;
"""
RUIN = "UPDATE customer SET touched = 9"

Seen = tuple[object, ...]


class Story:
    """One schema with all that a cut-over moves, ruined, and the runs that put it back."""

    def __init__(self, server: Server, vault: Path, schema: str, tmp: Path) -> None:
        self.server, self.vault, self.schema, self.tmp = server, vault, schema, tmp
        server.sql(FAMILY + TIES, schema)
        self.snapshot = take(server, vault, [pattern(schema, "customer")]).id
        server.sql(RUIN, schema)
        self.ruined = self.seen()

    def seen(self) -> Seen:
        rows = self.server.query("SELECT * FROM customer ORDER BY id", self.schema)
        return (
            rows,
            definitions(self.server, self.schema),
            key_to(self.server, self.schema),
            trigger_list(self.server, self.schema),
        )

    def staged(self) -> Cut:
        run = put_back(self.server, self.vault, self.snapshot, swap=False).run
        return Cut(self.server, self.vault, run)

    def dies(self, cut: Cut, operation: str, at: int, when: str) -> None:
        options = self.tmp / "options.json"
        connection = {
            "host": self.server.host,
            "port": self.server.port,
            "user": self.server.user,
            "password": self.server.password,
        }
        told = {
            "connection": connection,
            "state": str(cut.state),
            "operation": operation,
            "run": cut.run,
        }
        options.write_text(json.dumps(told))
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.dying", str(options), str(at), when],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr

    def restored(self) -> Seen:
        rows = [(*row[:4], "0") for row in self.ruined[0]]  # type: ignore[attr-defined]
        return (rows, *self.ruined[1:])


def entries(cut: Cut, begin: str, end: str) -> int:
    kinds = [entry["kind"] for entry in read_journal(cut.state / cut.run)]
    return kinds.index(end) - kinds.index(begin) + 1


@pytest.mark.parametrize("settle", ["swap", "rollback"])
def test_killed_at_every_step_of_a_swap(
    server: Server, vault: Path, database: str, tmp_path: Path, settle: str
) -> None:
    story = Story(server, vault, database, tmp_path)
    model = story.staged()
    model.swap()
    steps = entries(model, "swapping", "swapped")
    assert steps > 10
    assert story.seen() == story.restored()
    model.rollback()
    model.cleanup()
    # every entry is had once, by the two ways on in turn
    for at in range(0 if settle == "swap" else 1, steps, 2):
        when = "after" if at // 2 % 2 else "before"
        cut = story.staged()
        story.dies(cut, "swap", at, when)
        assert server.value("SELECT COUNT(*) FROM customer", database) == "4", (at, when)
        done = getattr(cut, settle)()
        wanted = story.restored() if settle == "swap" else story.ruined
        assert story.seen() == wanted, (at, when)
        assert done.findings == ()
        if settle == "swap":
            cut.rollback()
            assert story.seen() == story.ruined
        cut.cleanup()
        assert own_tables(server, database) == [], (at, when)


def test_killed_at_every_step_of_a_rollback(
    server: Server, vault: Path, database: str, tmp_path: Path
) -> None:
    story = Story(server, vault, database, tmp_path)
    model = story.staged()
    model.swap()
    model.rollback()
    steps = entries(model, "rolling back", "rolled back")
    model.cleanup()
    for at in range(0, steps, 2):
        when = "before" if at % 4 else "after"
        cut = story.staged()
        cut.swap()
        story.dies(cut, "rollback", at, when)
        assert server.value("SELECT COUNT(*) FROM customer", database) == "4", (at, when)
        cut.rollback()
        assert story.seen() == story.ruined, (at, when)
        cut.cleanup()
        assert own_tables(server, database) == [], (at, when)
