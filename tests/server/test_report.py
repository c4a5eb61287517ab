"""The page of runs against a real server: what the journal and the history of each one tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import Server
from tests.support.shell import Shell
from tests.unit.test_report import checked, words

pytestmark = pytest.mark.server


def test_a_restore_has_a_page(server: Server, database: str, vault: Path, tmp_path: Path) -> None:
    shell = Shell(server, vault)
    server.sql(
        f"CREATE TABLE `{database}`.orders (id INT PRIMARY KEY, note VARCHAR(200), KEY (note));"
        f"INSERT INTO `{database}`.orders VALUES (1, 'tuv'), (2, 'xyz');"
    )
    events, page = tmp_path / "events.jsonl", tmp_path / "report.html"
    assert shell("snapshot", f"{database}.*").code == 0
    swap = ("restore", "latest", "--swap", "--indexes", "after", "--events", str(events))
    assert shell(*swap).code == 0
    assert shell("drill", "latest").code == 0
    runs = sorted(path.name for path in (vault / ".runs").iterdir())
    assert len(runs) == 3
    texts = {}
    for run in runs:
        done = shell("report", run, "-o", str(page), connect=False)
        assert done.code == 0, done.stderr
        text = page.read_text()
        for secret in (server.password, "tuv", "xyz"):
            assert secret not in text
        told = words(checked(text))
        texts[told.split()[1]] = told
        assert f"{database}.orders" in told
        assert "_tv_drill_" not in told
        assert "rows2" in told
        assert "worker 1" in told
    assert "swapped" in texts["restore"]
    assert f"{database}.ordersnote" in texts["restore"], "the index that was built"
    assert "cleaned" in texts["drill"]
    run = next(run for run in runs if run in events.read_text())
    done = shell("report", run, "--from", str(events), "-o", str(page), connect=False)
    assert done.code == 0, done.stderr
    checked(page.read_text())
