"""A whole night against a real server: snapshot, verify, drill, diff, prune, by one job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tablevault.vault.catalog import resolve
from tablevault.vault.store import open_store
from tests.servers import ROOT, Server


def test_a_night(server: Server, database: str, vault: Path, tmp_path: Path) -> None:
    server.sql(
        f"CREATE TABLE {database}.orders (id INT PRIMARY KEY, v VARCHAR(20));"
        f"INSERT INTO {database}.orders VALUES (1, 'a'), (2, 'b');"
    )
    account = tmp_path / "account.cnf"
    account.write_text(f"[client]\nuser={server.user}\npassword={server.password}\n")
    account.chmod(0o600)
    metrics = tmp_path / "night.prom"
    config = tmp_path / "tablevault.toml"
    config.write_text(
        f"""[profile.db]
host = "{server.host}"
port = {server.port}
defaults_file = "{account}"
vault = "{vault}"

[job.nightly]
profile = "db"
steps = [
  "snapshot '{database}.*' --name nightly",
  "verify --all --budget 20m",
  "drill latest",
  "diff latest",
  "prune --keep-last 2 --execute",
]
metrics = "{metrics}"
"""
    )
    environment = {name: text for name, text in os.environ.items() if name != "MYSQL_PWD"}
    for night in range(1, 4):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tablevault",
                "job",
                "nightly",
                "--config",
                str(config),
                "--json",
            ],
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert len(report["steps"]) == 5
        assert server.password not in done.stdout + done.stderr
        assert len(list(vault.glob("*/manifest.json"))) == min(night, 2)
    samples = {
        sample.name: sample
        for family in text_string_to_metric_families(metrics.read_text())
        for sample in family.samples
    }
    origin = taken_from(vault)
    table = {"vault": str(vault), "server": origin, "table": f"{database}.orders"}
    taken = samples["tablevault_snapshot_timestamp_seconds"]
    drilled = samples["tablevault_drill_timestamp_seconds"]
    assert taken.labels == drilled.labels == table
    assert drilled.value > taken.value
    assert samples["tablevault_restore_estimate_seconds"].value > 0
    assert samples["tablevault_vault_snapshots"].value == 2
    assert samples["tablevault_job_findings"].value == 0


def test_a_night_by_named_sections(
    server: Server, database: str, vault: Path, tmp_path: Path
) -> None:
    for table in ("orders", "lines", "tmp_1"):
        server.sql(f"CREATE TABLE {database}.{table} (id INT PRIMARY KEY);")
    account = tmp_path / "account.cnf"
    account.write_text(f"[client]\nuser={server.user}\npassword={server.password}\n")
    account.chmod(0o600)
    state = tmp_path / "journals"
    config = tmp_path / "tablevault.toml"
    config.write_text(
        f"""[server.db]
host = "{server.host}"
port = {server.port}
defaults_file = "{account}"
[vault.main]
uri = "{vault}"
state_dir = "{state}"
retention = "short"
[retention.short]
keep_last = 1
[tables.shop]
include = ["{database}.*"]
exclude = ["{database}.tmp_*"]
[job.nightly]
server = "db"
vault = "main"
steps = [
  "snapshot @shop !{database}.lines --name nightly",
  "drill nightly @shop",
  "diff nightly",
  "prune --execute",
]
"""
    )
    environment = {name: text for name, text in os.environ.items() if name != "MYSQL_PWD"}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "tablevault", "job", "nightly", "--config", str(config)],
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr
    snapshots = [path.parent.name for path in vault.glob("*/manifest.json")]
    assert len(snapshots) == 1
    taken = resolve(open_store(str(vault)), snapshots[0])
    assert [entry.definition.table.name for entry in taken.tables] == ["orders"]
    assert list(state.glob("*/journal.jsonl"))
    assert not (vault / ".runs").exists()


def taken_from(vault: Path) -> str:
    """The server of the newest snapshot, as it names itself."""
    snapshot = resolve(open_store(str(vault)), "latest")
    return f"{snapshot.server.hostname}:{snapshot.server.port}"
