"""`drill`: rehearsed and proven in a scratch schema, measured, kept, and nothing of it left."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tablevault.errors import CannotComplete, TablevaultError
from tablevault.events import Event, PhaseBegan
from tablevault.names import scratch_schema
from tablevault.ops import drill as drills
from tablevault.ops.drill_plan import DrillOptions
from tablevault.ops.first_estimate import from_drills
from tablevault.ops.options import RestoreOptions
from tablevault.ops.restore import restore
from tablevault.ops.swap import cleanup
from tablevault.vault.journal import read_journal
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.cases import Case, cases
from tests.support.facts import checksum, numbers
from tests.support.roundtrip import take
from tests.support.shell import Shell

ROWS = 3_000


def scratch_schemas(server: Server) -> list[str]:
    rows = server.query(
        "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE "
        "'\\_tv\\_drill\\_%'"
    )
    return [row[0] or "" for row in rows]


@pytest.fixture
def other(server: Server, database: str) -> Iterator[str]:
    """A second schema, in whose name there is what the server may fold."""
    yield from made(server, f"{database}-B")


@pytest.fixture
def across(server: Server, database: str) -> Iterator[str]:
    """The second schema that cases reach into."""
    yield from made(server, f"{database}_b")


def made(server: Server, name: str) -> Iterator[str]:
    server.sql(f"CREATE DATABASE `{name}`")
    yield name
    server.sql(f"SET foreign_key_checks = 0; DROP DATABASE IF EXISTS `{name}`")


@pytest.fixture
def shop(server: Server, database: str, other: str) -> list[str]:
    """Tables with all that a scratch schema does not have; as arguments of the command line."""
    server.sql(
        f"""CREATE TABLE parents (id INT PRIMARY KEY);
            INSERT INTO parents SELECT seq FROM {numbers(100)};
            CREATE TABLE log (n INT);
            CREATE TABLE orders (
              id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, parent INT, text VARCHAR(200),
              KEY (text), CONSTRAINT up FOREIGN KEY (parent) REFERENCES parents (id)
              ON DELETE CASCADE, CONSTRAINT positive CHECK (parent > 0));
            INSERT INTO orders SELECT seq, 1 + seq % 100, REPEAT(CHAR(97 + seq % 26), 150)
              FROM {numbers(ROWS)};
            CREATE TRIGGER t AFTER INSERT ON orders FOR EACH ROW INSERT INTO log VALUES (NEW.id);
            CREATE TRIGGER d AFTER DELETE ON orders FOR EACH ROW DELETE FROM log;
            CREATE TABLE `{other}`.orders (n INT, text VARCHAR(50));
            INSERT INTO `{other}`.orders SELECT seq % 50, 'x' FROM {numbers(300)};""",
        database,
    )
    return [f"{database}.*", f"`{other}`.*"]


def state(server: Server, database: str, other: str) -> list[str]:
    names = [(database, name) for name in ("orders", "parents", "log")]
    return [checksum(server, *name) for name in [*names, (other, "orders")]]


def test_it_proves_measures_and_leaves_no_trace(
    tool: Shell, server: Server, database: str, other: str, shop: list[str], tmp_path: Path
) -> None:
    assert tool("snapshot", *shop, "--chunk-size", "100K").code == 0
    live, schemas = state(server, database, other), server.sql("SHOW DATABASES")
    events = tmp_path / "events.jsonl"
    told = tool.json("drill", "latest", "--indexes", "after", "--events", str(events))
    assert (told["status"], told["whole"], told["share"]) == ("ok", True, 1.0)
    assert told["rows"] == ROWS + 100 + 300
    assert sorted(told["tables"]) == sorted(
        [*(f"{database}.{name}" for name in ("log", "orders", "parents")), f"{other}.orders"]
    )
    parts = ("checking", "planning", "loading", "indexing", "proving")
    assert told["restore_seconds"] == pytest.approx(sum(told["phases"][p] for p in parts))
    assert told["total_seconds"] > told["restore_seconds"] > 0
    work_s = sum(told["phases"][p] for p in parts[2:])
    assert told["rate_bytes_s"] == pytest.approx(told["size_bytes"] / work_s)
    assert server.sql("SHOW DATABASES") == schemas
    assert state(server, database, other) == live
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert lines[0]["operation"] == "drill"
    done = [line for line in lines if line["type"] == "ChunkDone" and line["phase"] != "checking"]
    groups = {(line["table"], line["chunk"], line["row_group"]): line for line in done}
    assert sum(line["rows"] for line in groups.values()) == told["rows"]
    percents = [line["percent"] for line in lines if line["percent"] is not None]
    assert percents == sorted(percents)
    assert (lines[-1]["status"], lines[-1]["percent"]) == ("ok", 100.0)
    [run] = [
        line for line in tool.json("runs", connect=False)["runs"] if line["operation"] == "drill"
    ]
    assert (run["state"], run["tables"][0]) == ("cleaned", told["tables"][0])

    shown = tool("show", "latest", connect=False)
    assert "last proven on" in shown.stdout
    [kept] = tool.json("show", "latest", connect=False)["drills"]
    assert {key: told[key] for key in kept} == kept
    [listed] = tool.json("list", connect=False)["snapshots"]
    assert listed["drilled"] == kept
    assert "DRILLED" in tool("list", connect=False).stdout


def test_a_sample_says_that_it_is_one(
    tool: Shell, server: Server, database: str, shop: list[str], vault: Path, small_units: None
) -> None:
    take(server, vault, shop, chunk_bytes=20_000)
    done = tool("drill", "latest", "--sample", "10%")
    assert done.code == 0, done.stderr
    assert "a sample of" in done.stdout
    assert "extrapolated" in done.stdout
    told = tool.json("drill", "latest", f"{database}.orders", "--sample", "0.1")
    assert not told["whole"]
    assert 0.05 < told["share"] < 0.2
    assert 0 < told["rows"] < ROWS
    assert told["restore_seconds"] > told["seconds"]
    assert scratch_schemas(server) == []
    shown = tool("show", "latest", connect=False).stdout
    assert "not proven by a drill of all rows" in shown
    assert "1 table, a sample of" in shown
    assert "in part" in tool("list", connect=False).stdout
    for wrong in ("0", "100%", "5x", "-5%"):
        assert tool("drill", "latest", "--sample", wrong).code == 2


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_every_trap_is_rehearsed_or_refused_before(
    server: Server, database: str, across: str, vault: Path, case: Case
) -> None:
    expected = case.on(server.kind)
    if expected.absent:
        return  # the server has no such thing
    for statements in case.statements(database):
        server.sql(statements)
    patterns = case.expect.get("tables") or [f"`{database}`.*"]
    patterns = [pattern.replace("{schema}", database) for pattern in patterns]
    try:
        taken = take(server, vault, patterns)
    except TablevaultError as error:
        assert expected.refused, error
        return
    target, store, state_dir = server.options(), open_store(str(vault)), vault / ".runs"
    result = drills.drill(target, store, taken.id, DrillOptions(), state_dir)
    assert result.hints == ()
    assert result.proof.whole
    assert scratch_schemas(server) == []


def test_a_restore_goes_by_the_drill_for_its_first_estimate(
    server: Server, database: str, vault: Path, shop: list[str]
) -> None:
    taken = take(server, vault, shop)
    store, state_dir = open_store(str(vault)), vault / ".runs"
    options = RestoreOptions(patterns=(f"{database}.orders",))
    by, drilled = [], []
    for _ in range(2):
        events: list[Event] = []
        result = restore(server.options(), store, taken.id, options, state_dir, events.append)
        cleanup(server.options(), result.run, state_dir)
        [loading] = [e for e in events if isinstance(e, PhaseBegan) and e.phase == "loading"]
        by.append(loading.detail.partition("first estimate by drill ")[2])
        result_of = drills.drill(server.options(), store, taken.id, DrillOptions(), state_dir)
        drilled.append(result_of.run)
    assert by == ["", drilled[0]]
    estimate = from_drills(store, taken.id, [f"{database}.orders"], 2)
    assert estimate is not None
    assert estimate.proof.run == drilled[1]
    assert estimate.rate_s == pytest.approx(estimate.proof.cost / estimate.proof.work_s)
    assert from_drills(store, taken.id, ["elsewhere.orders"], 2) is None


def test_a_damaged_memory_is_passed_over(tool: Shell, vault: Path, shop: list[str]) -> None:
    assert tool("snapshot", *shop).code == 0
    assert tool("drill", "latest").code == 0
    [file] = vault.glob(".proofs/*/drill-*.json")
    file.write_text(file.read_text().replace('"share":1.0', '"share":0.5'))
    file.with_name("drill-20260101T000000Z-000000.json").write_bytes(b"\xff[")
    assert tool.json("show", "latest", connect=False)["drills"] == []
    assert tool("verify", "latest", connect=False).code == 0


def test_a_schema_that_was_there_is_never_touched(
    server: Server, database: str, vault: Path, shop: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = take(server, vault, shop[:1])
    run = "20261124T000000Z-aaaaaa"
    name = scratch_schema(database, run)
    server.sql(f"CREATE DATABASE `{name}`")
    monkeypatch.setattr(drills, "new_run_id", lambda: run)
    store, state_dir = open_store(str(vault)), vault / ".runs"
    try:
        with pytest.raises(CannotComplete, match="is there already"):
            drills.drill(server.options(), store, taken.id, DrillOptions(), state_dir)
        assert scratch_schemas(server) == [name]
        assert read_journal(state_dir / run)[-1]["kind"] == "cleaned"
    finally:
        server.sql(f"DROP DATABASE `{name}`")


def test_what_others_put_there_is_not_dropped(
    tool: Shell, server: Server, database: str, shop: list[str], vault: Path
) -> None:
    assert tool("snapshot", shop[0], "--chunk-size", "20K").code == 0
    process = tool.start("drill", "latest")
    while not scratch_schemas(server):
        assert process.poll() is None
    [name] = scratch_schemas(server)
    server.sql(f"CREATE TABLE `{name}`.mine (n INT)")
    process.kill()
    process.communicate(timeout=15)
    done = tool("drill", "latest")
    assert done.code == 0
    assert "could not be dropped" in done.stderr
    assert "mine" in done.stderr
    [run] = [line for line in tool.json("runs", connect=False)["runs"] if line["commands"]]
    refused = tool("cleanup", run["run"])
    assert refused.code == 4
    assert "mine" in refused.error
    server.sql(f"DROP TABLE `{name}`.mine")
    assert tool("cleanup", run["run"]).code == 0
    assert scratch_schemas(server) == []


def test_a_drill_is_no_restore(tool: Shell, server: Server, shop: list[str]) -> None:
    assert tool("snapshot", shop[0]).code == 0
    run = tool.json("drill", "latest")["run"]
    for words in (("swap", run), ("rollback", run), ("restore", "--resume", run, "--swap")):
        refused = tool(*words)
        assert refused.code in (2, 4), words
    assert tool("cleanup", run).code == 0
    assert scratch_schemas(server) == []


def test_the_account_needs_a_right_to_the_scratch_schemas(
    tool: Shell, server: Server, database: str, shop: list[str]
) -> None:
    assert tool("snapshot", shop[0]).code == 0
    server.sql(
        f"DROP USER IF EXISTS driller; CREATE USER driller IDENTIFIED BY '{server.password}'; "
        f"GRANT SELECT ON `{database}`.* TO driller;"
    )
    server.connect(user="driller").close()
    tool.user = "driller"
    try:
        refused = tool("drill", "latest")
        assert refused.code == 4
        assert "may not create schema _tv_drill_" in refused.error
        grant = refused.hint[refused.hint.index("GRANT") :].replace("the account", "driller")
        server.sql(grant.split(" driller")[0] + " driller")
        done = tool("drill", "latest")
        assert done.code == 0, done.stderr
        assert scratch_schemas(server) == []
    finally:
        server.sql("DROP USER driller")


@pytest.mark.parametrize("phase", ["checking", "preparing", "loading", "indexing", "cleanup"])
def test_interrupted_in_each_phase(
    tool: Shell,
    server: Server,
    database: str,
    other: str,
    shop: list[str],
    tmp_path: Path,
    phase: str,
) -> None:
    assert tool("snapshot", *shop, "--chunk-size", "20K").code == 0
    live = state(server, database, other)
    events = tmp_path / "events.jsonl"
    process = tool.start("drill", "latest", "--indexes", "after", "--events", str(events))
    while process.poll() is None:
        text = events.read_text() if events.exists() else ""
        if f'"phase": "{phase}"' in text or f'"phase":"{phase}"' in text:
            break
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert "Traceback" not in told.decode()
    assert process.returncode in (0, 130), told.decode()
    if phase in ("preparing", "loading"):
        assert process.returncode == 130
    assert state(server, database, other) == live
    if scratch_schemas(server):  # the removal itself was interrupted, and says so
        assert "tablevault cleanup" in told.decode(), told.decode()
        assert tool("drill", "latest").code == 0
    assert scratch_schemas(server) == []
