"""A repair beside an application that goes on writing: nothing it wrote is lost in silence.

What the repair overwrote is in the run's table of old values.  So for each row the value that the
application wrote last either stands in the live table, or the comparison had seen that very value.
"""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from tablevault.model import TableName
from tablevault.names import was_table
from tablevault.ops import diff_ranges, repair_stage
from tablevault.ops.diff import diff
from tablevault.ops.diff_terms import DiffOptions
from tablevault.ops.repair import repair
from tablevault.ops.repair_terms import RepairOptions
from tablevault.vault.store import open_store
from tests.faults.place import wait_for
from tests.servers import Server
from tests.support.facts import numbers
from tests.support.roundtrip import pattern, take

ROWS = 3_000
TRIGGER = "CREATE TRIGGER seen BEFORE UPDATE ON item FOR EACH ROW SET NEW.touched = OLD.touched"


class Writer(threading.Thread):
    """Writes new values to random rows, one statement each; `last` has what it wrote last."""

    def __init__(self, server: Server, database: str) -> None:
        super().__init__(daemon=True)
        self.last: dict[int, str] = {}
        self.ended = threading.Event()
        self._connection = server.connect(database=database, autocommit=True)

    def run(self) -> None:
        chance, cursor = random.Random(7), self._connection.cursor()
        number = 0
        while not self.ended.is_set():
            number += 1
            row, value = chance.randrange(1, ROWS + 1), f"written {number}"
            cursor.execute(f"UPDATE item SET v = '{value}' WHERE id = {row}")
            if cursor.rowcount:
                self.last[row] = value

    def wait(self, rows: int) -> None:
        """Until so many rows were written."""
        wait_for(lambda: len(self.last) >= rows, why=f"{rows} rows written")

    def stop(self) -> None:
        self.ended.set()
        self.join(30)
        assert not self.is_alive()
        self._connection.close()


@pytest.mark.parametrize("trigger", ["", TRIGGER])
@pytest.mark.parametrize("kept", [False, True], ids=["", "by-a-diff"])
def test_nothing_written_meanwhile_is_lost_in_silence(
    server: Server,
    database: str,
    vault: Path,
    small_units: None,
    monkeypatch: pytest.MonkeyPatch,
    trigger: str,
    kept: bool,
) -> None:
    monkeypatch.setattr(diff_ranges, "SMALL_ROWS", 50)
    monkeypatch.setattr(repair_stage, "BATCH_ROWS", 60)
    server.sql(
        "CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(30), touched INT);"
        f"INSERT INTO item SELECT seq, CONCAT('v', seq), 0 FROM {numbers(ROWS)};",
        database,
    )
    take(server, vault, [pattern(database, "item")], chunk_bytes=4000)
    server.sql(f"UPDATE item SET v = 'damaged' WHERE id % 3 = 0; {trigger}", database)
    store, options = open_store(str(vault)), server.options()
    if kept:
        diff(options, store, "latest", DiffOptions(), state_dir=vault / ".runs")
    writer = Writer(server, database)
    writer.start()
    try:
        if kept:
            writer.wait(20)  # what the diff has not seen
        result = repair(options, store, "latest", RepairOptions(), vault / ".runs")
    finally:
        writer.stop()
    [done] = result.tables
    was = was_table(TableName(database, "item"), result.run)
    live = dict(server.query("SELECT id, v FROM item", database))
    seen = dict(server.query(f"SELECT id, v FROM `{was.name}` WHERE v IS NOT NULL", database))
    assert done.compared is not None and done.compared.before == kept
    stayed = overwritten = 0
    for row, value in writer.last.items():
        if live[str(row)] == value:
            stayed += 1
            continue
        assert live[str(row)] == f"v{row}"
        assert seen[str(row)] == value, f"row {row}: {value} was overwritten unseen"
        overwritten += 1
    assert stayed
    # by a kept diff nothing is overwritten that was written while the repair ran
    assert bool(overwritten) is not kept
    assert "damaged" not in live.values() or done.held
    if done.held:
        assert any(finding.kind == "changed again" for finding in result.findings)
