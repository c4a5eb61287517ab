"""What goes wrong before anything starts: the code, one clear line, a way on, and nothing left."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import Server
from tests.support.facts import checksum, facts, leftovers, quoted
from tests.support.shell import Shell


@pytest.fixture
def table(server: Server, database: str) -> str:
    """A small table with a secondary index; its qualified name."""
    rows = ", ".join(f"({n}, 'text {n}')" for n in range(500))
    server.sql(
        f"CREATE TABLE {database}.t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40), KEY (v));"
        f"SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'; INSERT INTO {database}.t VALUES {rows};"
    )
    return f"{database}.t"


@pytest.fixture
def taken(tool: Shell, table: str) -> str:
    """A snapshot of it; its id."""
    done = tool("snapshot", table)
    assert done.code == 0, done.stderr
    return done.stdout.split()[-1]


@contextmanager
def account(server: Server, name: str, *grants: str) -> Iterator[str]:
    """An account with these privileges alone."""
    server.sql(f"DROP USER IF EXISTS {name}; CREATE USER {name} IDENTIFIED BY 'pw-{name}';")
    for grant in grants:
        server.sql(f"GRANT {grant} TO {name};")
    try:
        yield name
    finally:
        server.sql(f"DROP USER {name};")


def snapshots(vault: Path) -> list[str]:
    """What is left in a vault that is not hidden."""
    return [item.name for item in vault.iterdir() if not item.name.startswith(".")]


def edit_manifest(vault: Path, snapshot: str, old: str, new: str, *, sign: bool) -> None:
    """Change a manifest by hand; with `sign` as one who knows how it is checked."""
    path = vault / snapshot / "manifest.json"
    text = path.read_text()
    assert old in text
    text = text.replace(old, new)
    if sign:
        from tests.support.manifests import signed

        text = signed(text)
    path.write_text(text)


# ------------------------------------------------------------------ tables and accounts


@pytest.mark.parametrize(
    ("argument", "code", "says", "hints"),
    [
        ("{db}.tt", 2, "no table {db}.tt", "did you mean {db}.t"),
        ("{db}.a_view", 2, "{db}.a_view is a view, not a table", "name the tables"),
        ("{db}x.t", 2, "no table {db}x.t", "did you mean schema {db}"),
        ("{db}.zz*", 2, "no table matches '{db}.zz*'", ""),
        ("t", 2, "table 't' has no schema", "schema.t"),
        ("{db}.", 2, "not a table name", ""),
        ("{db}.t.t", 2, "not a table name", "backticks"),
        ("", 2, "not a table name|has no schema", ""),
        ("{db}.`t", 2, "no table|not a table name", ""),
    ],
)
def test_a_table_that_cannot_be_meant(
    tool: Shell,
    server: Server,
    database: str,
    table: str,
    argument: str,
    code: int,
    says: str,
    hints: str,
) -> None:
    server.sql(f"CREATE VIEW {database}.a_view AS SELECT 1 AS one;")
    done = tool("snapshot", argument.format(db=database))
    assert done.code == code, done.stderr
    assert any(one.format(db=database) in done.error for one in says.split("|")), done.stderr
    assert hints.format(db=database) in done.hint, done.stderr
    assert tool.json("list", connect=False)["snapshots"] == []


def test_an_account_without_privileges(
    server: Server, vault: Path, database: str, table: str
) -> None:
    server.sql(f"CREATE TABLE {database}.other (id INT PRIMARY KEY);")
    with account(server, "tv_poor", f"SELECT ON {database}.other") as name:
        done = Shell(server, vault, user=name, password=f"pw-{name}")("snapshot", table)
        assert done.code in (2, 4), done.stderr
        assert "may not read" in done.error
        assert "grant SELECT" in done.hint
    with account(server, "tv_reader", f"SELECT ON {database}.*") as name:
        done = Shell(server, vault, user=name, password=f"pw-{name}")("snapshot", table)
        assert done.code == 4, done.stderr
        assert "may take no lock" in done.error
        assert "--lock none" in done.hint
        again = Shell(server, vault, user=name, password=f"pw-{name}")
        done = again("snapshot", table, "--lock", "none")
        assert done.code == 0, done.stderr
        refused = again("restore", "latest", "--swap")
        assert refused.code == 4, refused.stderr
        assert "CREATE" in refused.error or "denied" in refused.error
        assert leftovers(server, database) == []


def test_an_account_with_table_privileges_alone(
    server: Server, vault: Path, database: str, table: str
) -> None:
    before = facts(server, database, "t")
    grants = "SELECT, LOCK TABLES, CREATE, INSERT, DROP, ALTER"
    with account(server, "tv_some", f"{grants} ON {database}.*") as name:
        tool = Shell(server, vault, user=name, password=f"pw-{name}")
        assert tool("snapshot", table).code == 0
        server.sql(f"UPDATE {table} SET v = 'ruined'")
        done = tool("restore", "latest", "--swap")
        assert done.code == 0, done.stderr
        assert facts(server, database, "t") == before
        run = tool.json("restore", "latest", "--as", f"{database}.beside", "--swap")["run"]
        assert tool("rollback", run).code == 0
        assert tool("cleanup", run).code == 0


def test_a_wrong_password_is_said_and_not_repeated(
    server: Server, vault: Path, table: str, tmp_path: Path
) -> None:
    tool = Shell(server, vault, password="S3cret-wrong")
    events = tmp_path / "events.jsonl"
    done = tool("snapshot", table, "--events", str(events), "-v")
    assert done.code == 5
    assert "refused user" in done.error
    assert "password" in done.hint
    kept = events.read_text() if events.exists() else ""
    assert "S3cret-wrong" not in done.stdout + done.stderr + kept


def test_the_password_is_written_nowhere(
    tool: Shell, server: Server, database: str, table: str, vault: Path, tmp_path: Path
) -> None:
    events = tmp_path / "events.jsonl"
    assert tool("snapshot", table, "--events", str(events), "-v").code == 0
    done = tool("restore", "latest", "--swap", "-v", "--events", str(events))
    assert done.code == 0, done.stderr
    files = [path for path in [*vault.rglob("*"), events] if path.is_file()]
    assert len(files) >= 5
    for path in files:
        assert server.password.encode() not in path.read_bytes() or len(server.password) < 8, path
    if len(server.password) >= 8:
        assert not any(server.password in text for text in tool.said)


def test_a_server_that_is_down(server: Server, vault: Path) -> None:
    tool = Shell(server, vault)
    words = ["snapshot", "a.b", "-h", "127.0.0.1", "-P", "9"]
    done = tool(words[0], *words[1:], connect=False)
    assert done.code == 5, done.stderr
    assert "cannot be reached" in done.error
    done = tool("snapshot", "a.b", "-h", "no-such-host.invalid", connect=False)
    assert done.code == 5, done.stderr
    done = tool("snapshot", "a.b", "-S", "/nowhere/s.sock", connect=False)
    assert done.code == 5, done.stderr


# ------------------------------------------------------------------ vault and snapshot


def test_a_vault_that_is_not_there(tool: Shell, table: str, vault: Path) -> None:
    for command in (("list",), ("show", "latest"), ("verify", "latest")):
        done = tool(*command, connect=False)
        assert done.code in (2, 6), done.stderr
        assert str(vault) in done.error
    done = tool("restore", "latest")
    assert done.code in (2, 6), done.stderr
    assert not vault.exists()


def test_a_vault_that_cannot_be_written(server: Server, table: str, tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("not a folder")
    done = Shell(server, folder)("snapshot", table)
    assert done.code in (2, 4), done.stderr
    assert str(folder) in done.error
    locked = tmp_path / "locked"
    locked.mkdir()
    with nobody_may_write(locked):
        done = Shell(server, locked / "vault")("snapshot", table)
        assert done.code in (2, 4), done.stderr
        assert str(locked) in done.error


@contextmanager
def nobody_may_write(folder: Path) -> Iterator[None]:
    """Read-only for root, too, where the file system can."""
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
        return
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], check=False)
    if done.returncode != 0:
        pytest.skip("root may write everywhere here, and may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_vault(tool: Shell, server: Server, database: str, vault: Path) -> None:
    """No snapshot, and no remains: room is made at once for what else needs it."""
    server.sql(
        f"CREATE TABLE {database}.big (id INT PRIMARY KEY AUTO_INCREMENT, b BLOB);"
        f"INSERT INTO {database}.big (b) SELECT {random_bytes()} FROM (WITH RECURSIVE r(n) AS "
        "(SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 60) SELECT n FROM r) s;"
    )
    limit = ("prlimit", "--fsize=1000000")  # of one file: what the system says is another error
    if shutil.which("prlimit"):
        done = tool("snapshot", f"{database}.big", prefix=limit)
        assert done.code == 4, done.stderr
        assert "File too large" in done.error
        assert snapshots(vault) == []
    if os.geteuid() == 0:
        small = vault.parent / "small"
        small.mkdir()
        mounted = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)]
        if subprocess.run(mounted, check=False).returncode == 0:
            try:
                done = Shell(server, small)("snapshot", f"{database}.big")
                assert done.code == 4, done.stderr
                assert "No space left" in done.error
                assert done.hint
                assert snapshots(small) == []
            finally:
                subprocess.run(["umount", small], check=True)
    assert tool("snapshot", f"{database}.big").code == 0


def random_bytes() -> str:
    """An SQL expression of 32 kilobytes that do not compress, other ones each row."""
    return "CONCAT(" + ", ".join("RANDOM_BYTES(1000)" for _ in range(32)) + ")"


@pytest.mark.parametrize("command", ["verify", "show", "restore"])
def test_a_snapshot_that_does_not_exist(tool: Shell, taken: str, command: str) -> None:
    done = tool(command, "20200101T000000Z-nosuch", connect=command == "restore")
    assert done.code == 6, done.stderr
    assert "there is no snapshot '20200101T000000Z-nosuch'" in done.error
    assert taken in done.hint


def test_an_incomplete_snapshot(
    tool: Shell, server: Server, database: str, taken: str, vault: Path
) -> None:
    (vault / taken / "manifest.json").unlink()
    for command in ("verify", "show", "restore"):
        done = tool(command, taken, connect=command == "restore")
        assert done.code == 6, done.stderr
    assert leftovers(server, database) == []


def test_a_manifest_of_a_newer_format(
    tool: Shell, server: Server, database: str, taken: str, vault: Path
) -> None:
    edit_manifest(vault, taken, '"format": 1', '"format": 99', sign=True)
    for command in ("verify", "show", "restore"):
        done = tool(command, taken, connect=command == "restore")
        assert done.code == 6, done.stderr
        assert "99" in done.error
    assert leftovers(server, database) == []


def test_a_manifest_edited_by_hand(
    tool: Shell, server: Server, database: str, taken: str, vault: Path
) -> None:
    edit_manifest(vault, taken, f'"{database}"', f'"{database}y"', sign=False)
    for command in ("verify", "show", "restore"):
        done = tool(command, taken, connect=command == "restore")
        assert done.code in (3, 6), done.stderr
    assert leftovers(server, database) == []


@pytest.mark.parametrize("path", ["../../outside", "/etc", "a/../../b"])
def test_a_manifest_that_leads_out_of_the_vault(
    tool: Shell, server: Server, database: str, taken: str, vault: Path, path: str
) -> None:
    edit_manifest(vault, taken, f'"{database}/t', f'"{path}', sign=True)
    for command in ("verify", "restore"):
        done = tool(command, taken, connect=command == "restore")
        assert done.code in (3, 6), done.stderr
    assert leftovers(server, database) == []


@pytest.mark.parametrize("harm", ["missing", "truncated", "flipped", "grown", "no list"])
def test_damage_is_found_before_the_server_is_touched(
    tool: Shell, server: Server, database: str, taken: str, vault: Path, harm: str
) -> None:
    [part] = vault.glob(f"{taken}/*/*/part-*.parquet")
    [chunks] = vault.glob(f"{taken}/*/*/chunks.jsonl")
    content = part.read_bytes()
    if harm == "missing":
        part.unlink()
    elif harm == "truncated":
        part.write_bytes(content[:-9])
    elif harm == "flipped":
        part.write_bytes(content[:100] + bytes([content[100] ^ 4]) + content[101:])
    elif harm == "grown":
        part.write_bytes(content + b"x")
    else:
        chunks.unlink()
    before = checksum(server, database, "t")
    done = tool("restore", taken, "--swap")
    assert done.code == 6, done.stderr
    assert f"{database}.t" in done.error
    assert leftovers(server, database) == []
    assert checksum(server, database, "t") == before
    for depth in ("files", "rows"):
        found = tool("verify", taken, "--depth", depth, connect=False)
        assert found.code == 3, found.stderr
        assert f"{database}.t" in found.stdout
        if harm != "no list":
            assert "chunk 0" in found.stdout


# ------------------------------------------------------------------ restore


def test_a_staging_name_that_somebody_else_has(
    tool: Shell, server: Server, database: str, taken: str, table: str
) -> None:
    """A run's names are its own; what else looks like one is neither used nor dropped."""
    server.sql(f"CREATE TABLE {database}._tv_new_00000000_t (x INT PRIMARY KEY);")
    assert tool("restore", taken, "--swap").code == 0
    assert "_tv_new_00000000_t" in leftovers(server, database)


def test_a_live_table_of_another_shape(
    tool: Shell, server: Server, database: str, taken: str, table: str
) -> None:
    """It is replaced as a whole: the snapshot's definition comes back with its rows."""
    before = facts(server, database, "t")
    server.sql(f"ALTER TABLE {table} DROP COLUMN v, ADD COLUMN w INT DEFAULT 3;")
    done = tool("restore", taken, "--swap")
    assert done.code == 0, done.stderr
    assert facts(server, database, "t") == before


def test_a_live_table_that_is_gone_comes_back(
    tool: Shell, server: Server, database: str, taken: str, table: str
) -> None:
    before = facts(server, database, "t")
    server.sql(f"DROP TABLE {table};")
    run = tool.json("restore", taken, "--swap")["run"]
    assert facts(server, database, "t") == before
    assert tool("rollback", run).code == 0  # as it was: not there
    assert not server.query(f"SHOW TABLES FROM {database} LIKE 't'")
    assert tool("cleanup", run).code == 0
    assert leftovers(server, database) == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--into", "no_such_schema"), 2, "no_such_schema"),
        (("--as", "{db}.a_view"), 2, "a_view is a view"),
        (("--as", "nodot"), 2, "nodot"),
        (("--as", "{db}.x", "--into", "{db}"), 2, "--as and --into"),
        (("{db}.nosuch",), 2, "no table"),
        (("--resume", "20200101T000000Z-nosuch"), 2, ""),
        (("--threads", "0"), 2, "threads"),
        (("--as", "{db}." + "x" * 65), 2, ""),
    ],
)
def test_a_restore_that_cannot_be_meant(
    tool: Shell,
    server: Server,
    database: str,
    taken: str,
    words: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    server.sql(f"CREATE VIEW {database}.a_view AS SELECT 1 AS one;")
    done = tool("restore", taken, *(word.format(db=database) for word in words))
    assert done.code == code, done.stderr
    assert says in done.error, done.stderr
    assert leftovers(server, database) == []


def test_restore_under_another_name_leaves_the_live_table(
    tool: Shell, server: Server, database: str, taken: str
) -> None:
    before = facts(server, database, "t")
    server.sql(f"UPDATE {database}.t SET v = 'now';")
    now = facts(server, database, "t")
    for name in ("copy", "c" * 64, "odd `name"):
        done = tool("restore", taken, "--swap", "--as", f"{quoted(database)}.{quoted(name)}")
        assert done.code == 0, done.stderr
        assert facts(server, database, name).values == before.values
    assert facts(server, database, "t") == now


def test_a_partial_snapshot(tool: Shell, server: Server, database: str, table: str) -> None:
    """`--where`: less than the table, so it never takes the table's place."""
    done = tool("snapshot", table, "--where", "id % 2 = 1 -- odd ones", "--chunk-size", "1K")
    assert done.code == 0, done.stderr
    shown = tool.json("show", "latest", connect=False)
    assert shown["rows"] == 250
    refused = tool("restore", "latest", "--swap")
    assert refused.code == 2, refused.stderr
    assert "--where" in refused.error
    assert "--as" in refused.hint
    done = tool("restore", "latest", "--swap", "--as", f"{database}.odd")
    assert done.code == 0, done.stderr
    assert server.value(f"SELECT CONCAT(COUNT(*), ' ', SUM(id)) FROM {database}.odd") == "250 62500"
    for where, code in (("no_such = 1", 4), ("id = ", 4), ("1) OR (1", 2), ("v = ')'", 0)):
        done = tool("snapshot", table, "--where", where)
        assert done.code == code, done.stderr
    empty = tool("snapshot", table, "--where", "id < 0", "--name", "empty")
    assert empty.code == 0, empty.stderr
    done = tool("restore", "latest", "--swap", "--as", f"{database}.none")
    assert done.code == 0, done.stderr


def test_a_partial_snapshot_with_gaps(
    tool: Shell, server: Server, database: str, table: str
) -> None:
    """Whole chunks in its middle have no rows."""
    done = tool("snapshot", table, "--where", "id < 20 OR id > 480", "--chunk-size", "1K")
    assert done.code == 0, done.stderr
    assert tool("verify", "latest", connect=False).code == 0
    done = tool("restore", "latest", "--swap", "--as", f"{database}.ends")
    assert done.code == 0, done.stderr
    assert server.value(f"SELECT COUNT(*) FROM {database}.ends") == "39"


def test_what_is_not_supported_is_refused_by_name(
    tool: Shell, server: Server, database: str, table: str
) -> None:
    server.sql(f"CREATE TABLE {database}.made_up (a INT GENERATED ALWAYS AS (1) STORED);")
    server.sql(f"CREATE TABLE {database}.part (id INT PRIMARY KEY) ENGINE=MyISAM;")
    server.sql(
        f"CREATE TABLE {database}.old_engine (id INT PRIMARY KEY) ENGINE=MERGE UNION=(part);",
        database,
    )
    done = tool("snapshot", f"{database}.*")
    assert done.code == 4, done.stderr
    assert "made_up has generated columns only" in done.error
    assert "old_engine has engine MRG_MyISAM" in done.error
    assert tool.json("list", connect=False)["snapshots"] == []


@pytest.mark.parametrize("lock", ["auto", "tables", "ftwrl", "none"])
def test_every_lock_that_may_be_asked_for(
    tool: Shell, server: Server, table: str, lock: str
) -> None:
    done = tool("snapshot", table, "--lock", lock)
    assert done.code == 0, done.stderr


def test_files_and_folders_are_private(tool: Shell, taken: str, vault: Path) -> None:
    for path in [vault, *vault.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_one_json_object_whatever_happens(tool: Shell, table: str) -> None:
    for words in (("snapshot", "no.such"), ("restore", "nosuch"), ("verify", "nosuch")):
        done = tool(*words, "--json", connect=words[0] != "verify")
        record = json.loads(done.stdout)
        assert record["status"] == "failed"
        assert record["exit_code"] == done.code
