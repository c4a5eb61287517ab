"""Tables come back by their tablespaces: exactly, or by their rows with the reason said.

The servers of these tests write a binary log, so each restore says --no-binlog.
"""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from pathlib import Path

import pytest

from tablevault.demo.programs import find_program
from tablevault.errors import CannotComplete, SnapshotUnusable, TablevaultError, Unsupported
from tablevault.events import Event, Hint, Progress
from tablevault.model import KeptFile, Snapshot, TableName, TablespaceFiles
from tablevault.mysql import keysets
from tablevault.mysql.connect import Connection
from tablevault.mysql.keysets import LiveKeys
from tablevault.ops import restore_tasks
from tablevault.ops.checkup import RESTORE, Advice, Severity, fine
from tablevault.ops.doctor import DoctorOptions, doctor
from tablevault.ops.options import RestoreOptions, RestoreResult
from tablevault.ops.restore import restore
from tablevault.vault import placing
from tablevault.vault.catalog import resolve
from tablevault.vault.journal import Entry, read_journal
from tablevault.vault.manifest import encode_manifest
from tablevault.vault.placing import Owner, Placement
from tablevault.vault.records import features_of
from tablevault.vault.store import open_store
from tests.faults.place import wait_for
from tests.servers import Server
from tests.support.facts import Facts, facts, leftovers, numbers
from tests.support.kept_tablespaces import data_directory, keep_tablespaces
from tests.support.roundtrip import pattern, take

ORDERS = """CREATE TABLE orders (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, state VARCHAR(40) NOT NULL,
  amount DECIMAL(12,2), note TEXT, doubled DECIMAL(14,2) AS (amount * 2) STORED,
  short VARCHAR(9) AS (LEFT(state, 7)) VIRTUAL,
  UNIQUE KEY (state, id), KEY (amount), KEY (short)) AUTO_INCREMENT = 90000"""


class Scene:
    """Tables, a snapshot of them that keeps their tablespaces, and then ruin."""

    def __init__(self, server: Server, schema: str, vault: Path) -> None:
        self.server, self.schema, self.vault = server, schema, vault
        self.events: list[Event] = []
        self.before: dict[str, Facts] = {}
        self.taken: Snapshot

    def take(self, *names: str) -> None:
        self.before = {name: facts(self.server, self.schema, name) for name in names}
        taken = take(self.server, self.vault, [pattern(self.schema, name) for name in names])
        self.taken = keep_tablespaces(self.server, self.vault, taken.id)

    def restore(self, lane: str = "auto", *, log_bin: bool = False) -> RestoreResult:
        for name in self.before:
            self.server.sql(f"DELETE FROM `{name}`", self.schema)
        options = RestoreOptions(swap=True, lane=lane, log_bin=log_bin)
        store, state = open_store(str(self.vault)), self.vault / ".runs"
        return restore(
            self.server.options(), store, self.taken.id, options, state, self.events.append
        )

    def assert_back(self) -> None:
        for name, then in self.before.items():
            assert facts(self.server, self.schema, name) == then
        folder = data_directory(self.server) / self.schema
        assert not list(folder.glob("_tv_new_*"))
        assert not [path for path in folder.iterdir() if path.suffix in (".cfg", ".waiting")]

    def journal(self, result: RestoreResult) -> list[Entry]:
        return read_journal(self.vault / ".runs" / result.run)

    @property
    def hints(self) -> str:
        return "\n".join(event.message for event in self.events if isinstance(event, Hint))

    def edit(self, table: str, kept: TablespaceFiles) -> None:
        """Let the snapshot keep other files of a table: copies of `kept`, in its own folder."""
        entry = next(e for e in self.taken.tables if e.definition.table.name == table)
        files = []
        for one in kept.files:
            path = f"{entry.path}/{Path(one.path).name}"
            content = (self.vault / self.taken.id / one.path).read_bytes()
            (self.vault / self.taken.id / path).write_bytes(content)
            sha256 = hashlib.sha256(content).hexdigest()
            files.append(KeptFile(path, len(content), sha256))
        tables = [
            dataclasses.replace(e, tablespace=TablespaceFiles(kept.tablespace_bytes, *files))
            if e is entry
            else e
            for e in self.taken.tables
        ]
        changed = dataclasses.replace(
            self.taken, tables=tuple(tables), features=features_of(tables)
        )
        (self.vault / self.taken.id / "manifest.json").write_bytes(encode_manifest(changed))


def made(scene: Scene) -> Scene:
    """With its tables."""
    scene.server.sql(
        f"""{ORDERS};
            INSERT INTO orders (state, amount, note) SELECT CONCAT('state ', seq % 7), seq * 1.01,
              REPEAT(CHAR(97 + seq % 26), 20 + seq % 80) FROM {numbers(20_000)};
            DELETE FROM orders WHERE id % 11 = 0;
            CREATE TABLE notes (n INT, text VARCHAR(100));
            INSERT INTO notes SELECT seq % 50, REPEAT('n', seq % 90) FROM {numbers(300)};""",
        scene.schema,
    )
    return scene


@pytest.fixture
def scene(server: Server, database: str, vault: Path) -> Scene:
    return made(Scene(server, database, vault))


def lanes(result: RestoreResult) -> dict[str, str]:
    return {one.table.name: one.lane for one in result.tables}


def kept_of(scene: Scene, table: str) -> TablespaceFiles:
    [found] = [e.tablespace for e in scene.taken.tables if e.definition.table.name == table]
    assert found is not None
    return found


def kinds(entries: list[Entry]) -> list[str]:
    return [entry["kind"] for entry in entries]


def test_tables_come_back_by_their_tablespaces(scene: Scene) -> None:
    scene.take("orders", "notes")
    result = scene.restore("tablespace")
    assert lanes(result) == {"orders": "tablespace", "notes": "tablespace"}
    scene.assert_back()
    entries = scene.journal(result)
    assert "loading" not in kinds(entries)
    # each row group was proven, as loaded ones are
    orders = next(e for e in scene.taken.tables if e.definition.table.name == "orders")
    proven = [entry for entry in entries if entry["kind"] == "proven"]
    assert len(proven) == orders.chunk_count >= 1
    assert any(isinstance(event, Progress) for event in scene.events)
    scene.server.sql("INSERT INTO orders (state) VALUES ('new')", scene.schema)
    assert int(scene.server.value("SELECT MAX(id) FROM orders", scene.schema) or 0) >= 90_000


def test_columns_added_and_dropped_instantly_come_back(scene: Scene) -> None:
    scene.server.sql(
        f"""CREATE TABLE plain (id INT PRIMARY KEY, a INT, b VARCHAR(50), KEY (a));
            INSERT INTO plain SELECT seq, seq % 90, REPEAT('b', seq % 50) FROM {numbers(3000)};
            ALTER TABLE plain ADD COLUMN late INT DEFAULT 5, ALGORITHM=INSTANT;
            UPDATE plain SET late = id WHERE id % 3 = 0;
            ALTER TABLE plain DROP COLUMN b, ALGORITHM=INSTANT;
            INSERT INTO plain VALUES (9000, 1, 7);""",
        scene.schema,
    )
    scene.take("plain")
    assert lanes(scene.restore("tablespace")) == {"plain": "tablespace"}
    scene.assert_back()


def test_what_is_dirty_is_flushed_before_and_no_setting_is_changed(scene: Scene) -> None:
    """On MariaDB; MySQL flushes by itself.  Gtid positions move with the tests' own statements."""
    asked = "SHOW GLOBAL VARIABLES WHERE Variable_name NOT LIKE '%gtid%'"
    scene.take("orders", "notes")
    before = scene.server.query(asked)
    made = "checkpoint" in kinds(scene.journal(scene.restore()))
    assert made == (scene.server.family == "mariadb")
    assert scene.server.query(asked) == before


def test_many_tables_wait_for_one_checkpoint(scene: Scene) -> None:
    names = [f"t{number}" for number in range(8)]
    for name in names:
        scene.server.sql(
            f"CREATE TABLE {name} LIKE notes; INSERT INTO {name} SELECT * FROM notes;", scene.schema
        )
    scene.take(*names)
    result = scene.restore("tablespace")
    made = kinds(scene.journal(result)).count("checkpoint")
    # one worker may begin with its first while the other makes room for the last
    assert (1 <= made <= 2) if scene.server.family == "mariadb" else made == 0
    scene.assert_back()


def test_the_live_table_is_looked_at_while_the_server_takes_the_tablespace_in(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing it takes all cores, taking it in takes one."""
    scene.server.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, v INT, KEY (v)); INSERT INTO t VALUES (1, 1)",
        scene.schema,
    )
    scene.take("t")
    monkeypatch.setattr(restore_tasks, "LOOK_FROM_BYTES", 1)
    look, steps = keysets.look, list[list[str]]()

    def noted(conn: Connection, table: TableName, seconds: float) -> LiveKeys | None:
        [run] = [path for path in (scene.vault / ".runs").iterdir() if path.is_dir()]
        steps.append([entry["kind"] for entry in read_journal(run)])
        return look(conn, table, seconds)

    monkeypatch.setattr(keysets, "look", noted)
    assert scene.restore().tables[0].lane == "tablespace"
    scene.assert_back()
    [before] = steps
    assert "waiting" in before


def test_logical_takes_the_rows_from_the_chunks(scene: Scene) -> None:
    scene.take("orders")
    result = scene.restore("logical")
    assert lanes(result) == {"orders": "logical"} and "placing" not in kinds(scene.journal(result))
    scene.assert_back()


def test_a_binary_log_is_reason_enough(scene: Scene) -> None:
    scene.take("orders")
    with pytest.raises(Unsupported, match="the binary log is on") as refused:
        scene.restore("tablespace", log_bin=True)
    assert "--lane auto" in (refused.value.hint or "")
    assert not list((scene.vault / ".runs").glob("*/journal.jsonl"))
    assert leftovers(scene.server, scene.schema) == []
    assert lanes(scene.restore(log_bin=True)) == {"orders": "logical"}
    assert "by rows" in scene.hints and "--no-binlog" in scene.hints
    scene.assert_back()


def test_who_reads_the_binary_log_is_reason_enough(
    mariadb: Server, database: str, vault: Path
) -> None:
    scene = made(Scene(mariadb, database, vault))
    scene.take("orders")
    [log, *_] = mariadb.query("SHOW BINARY LOGS")[0]
    command = [find_program("mariadb-binlog"), "--no-defaults", "--read-from-remote-server"]
    command += ["--stop-never", *mariadb.arguments(), log or ""]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    reader = subprocess.Popen(command, env=mariadb.environment(), **quiet)
    try:
        wait_for(lambda: "Binlog Dump" in mariadb.sql("SHOW PROCESSLIST"))
        assert lanes(scene.restore()) == {"orders": "logical"}
        assert "replicate from the server" in scene.hints
    finally:
        reader.kill()
        reader.wait()
    # it takes an event for the server to see that nobody listens
    wait_for(lambda: "Binlog Dump" not in mariadb.sql("FLUSH BINARY LOGS; SHOW PROCESSLIST"))
    assert lanes(scene.restore("tablespace")) == {"orders": "tablespace"}
    scene.assert_back()


def test_doctor_says_which_tables_would_come_so(scene: Scene) -> None:
    scene.take("orders", "notes")
    store = open_store(str(scene.vault))

    def told(*, log_bin: bool) -> list[Advice]:
        options = DoctorOptions(
            commands=frozenset({RESTORE}), snapshot=scene.taken.id, log_bin=log_bin
        )
        findings = doctor(scene.server.options(), options, store=store).findings
        return [one for one in findings if one.name == "tablespaces"]

    would = "restore would bring {} of 2 tables back by tablespace"
    assert told(log_bin=False) == [fine("tablespaces", would.format(2))]
    [found] = told(log_bin=True)
    assert found.severity is Severity.NOTE
    assert found.message.startswith(would.format(0) + "; by their rows come ")
    assert f"{scene.schema}.orders (the binary log is on" in found.message


UNFIT = {
    "FULLTEXT": ("note TEXT, FULLTEXT KEY words (note)", "", "index `words` is FULLTEXT"),
    "SPATIAL": ("place POINT NOT NULL, SPATIAL KEY at (place)", "", "index `at` is SPATIAL"),
    "COMPRESSED": ("note TEXT", "ROW_FORMAT=COMPRESSED", "its row format is COMPRESSED"),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_does_not_come_whole_that_way_comes_by_rows(scene: Scene, what: str) -> None:
    columns, options, why = UNFIT[what]
    scene.server.sql(
        f"CREATE TABLE odd (id INT PRIMARY KEY, n INT, {columns}) {options}", scene.schema
    )
    value = "ST_GeomFromText('POINT(1 2)')" if what == "SPATIAL" else "'some words'"
    scene.server.sql(
        f"INSERT INTO odd SELECT seq, seq, {value} FROM {numbers(200)}",
        scene.schema,
    )
    scene.before = {"odd": facts(scene.server, scene.schema, "odd")}
    names = [pattern(scene.schema, name) for name in ("odd", "orders")]
    taken = take(scene.server, scene.vault, names)
    # no snapshot keeps one of such a table: this one says it does
    scene.taken = keep_tablespaces(scene.server, scene.vault, taken.id, "orders")
    scene.edit("odd", kept_of(scene, "orders"))
    assert lanes(scene.restore())["odd"] == "logical"
    assert f"by rows, not by tablespace: {scene.schema}.odd" in scene.hints and why in scene.hints
    scene.assert_back()
    with pytest.raises(Unsupported, match=why):
        scene.restore("tablespace")


def test_a_flipped_bit_is_found_before_anything_is_in_place(scene: Scene) -> None:
    scene.take("orders")
    path = scene.vault / scene.taken.id / kept_of(scene, "orders").data.path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    result = scene.restore()
    assert lanes(result) == {"orders": "logical"}
    assert "in place" not in kinds(scene.journal(result))
    assert "comes by its rows" in scene.hints and "SHA-256" in scene.hints
    scene.assert_back()
    with pytest.raises(SnapshotUnusable, match="SHA-256"):
        scene.restore("tablespace")
    folder = data_directory(scene.server) / scene.schema
    assert not list(folder.glob("*.waiting"))  # a large file is not left lying about


def test_rows_of_another_instant_do_not_pass(scene: Scene) -> None:
    """A copy that is sound in itself, and not what the digests were taken of."""
    scene.before = {"orders": facts(scene.server, scene.schema, "orders")}
    taken = take(scene.server, scene.vault, [pattern(scene.schema, "orders")])
    scene.server.sql("UPDATE orders SET amount = amount + 1 ORDER BY id LIMIT 1", scene.schema)
    scene.taken = keep_tablespaces(scene.server, scene.vault, taken.id)
    result = scene.restore()
    assert lanes(result) == {"orders": "logical"} and "taken in" in kinds(scene.journal(result))
    assert "with digest" in scene.hints
    scene.assert_back()
    with pytest.raises(TablevaultError, match="with digest"):
        scene.restore("tablespace")


def test_the_tablespace_of_another_table_is_not_taken_in(scene: Scene) -> None:
    scene.take("orders", "notes")
    scene.edit("orders", kept_of(scene, "notes"))
    result = scene.restore()
    assert lanes(result) == {"orders": "logical", "notes": "tablespace"}
    scene.assert_back()


@pytest.mark.parametrize("lane", ["auto", "tablespace"])
def test_what_the_server_takes_in_with_a_warning_is_not_believed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, lane: str
) -> None:
    """Without its .cfg it goes in unchecked, with a warning: whatever the file holds.

    MariaDB refuses tables with secondary indexes then by itself.
    """
    scene.take("notes")
    put = placing.put_in_place

    def without_description(at: Placement, cfg: bytes, owner: Owner) -> None:
        put(at, cfg, owner)
        at.cfg.unlink()

    monkeypatch.setattr(placing, "put_in_place", without_description)
    if lane == "tablespace":
        with pytest.raises(CannotComplete, match=r"\.notes with a warning: .*(cfg|schema)"):
            scene.restore(lane)
        assert scene.server.value("SELECT COUNT(*) FROM notes", scene.schema) == "0"
        return
    assert lanes(scene.restore(lane)) == {"notes": "logical"}
    assert "took in the tablespace" in scene.hints and "with a warning" in scene.hints
    scene.assert_back()


def test_another_series_of_servers_is_reason_enough(scene: Scene) -> None:
    scene.take("orders")
    kept = kept_of(scene, "orders")
    path = scene.vault / scene.taken.id / kept.blocks.path
    path.write_text(path.read_text().replace('"version":[', '"version":[1'))
    scene.edit("orders", kept)
    assert lanes(scene.restore()) == {"orders": "logical"}
    assert "its tablespace is of" in scene.hints
    scene.assert_back()


def test_it_stands_under_another_name_too(scene: Scene) -> None:
    scene.take("orders")
    target = TableName(scene.schema, "Copy of-orders")
    options = RestoreOptions(lane="tablespace", as_table=target, log_bin=False, swap=True)
    store = open_store(str(scene.vault))
    result = restore(scene.server.options(), store, scene.taken.id, options, scene.vault / ".runs")
    assert result.tables[0].lane == "tablespace"
    then = scene.before["orders"]
    assert facts(scene.server, scene.schema, target.name).values == then.values
    assert resolve(store, scene.taken.id).features == ("tablespaces",)
