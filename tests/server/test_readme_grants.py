"""The account that the README describes is enough for everything, and what it leaves out is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tablevault.cli.main import main
from tablevault.ops.runs import replay
from tablevault.vault.journal import list_runs, read_journal
from tests.servers import Server

README = Path(__file__).resolve().parent.parent.parent / "README.md"


def grants(family: str) -> list[str]:
    """The GRANT statements of the README's section, for one family."""
    section = README.read_text(encoding="utf-8").split("\n## What the account needs\n")[1]
    found = []
    applies = False
    for line in section.split("\n## ")[0].splitlines():
        if comment := re.match(r"\s+-- (\w+)", line):
            applies = comment[1].lower() in (family, "both")
        elif applies and line.strip().startswith("GRANT"):
            found.append(line.strip())
    return found


@pytest.fixture
def account(server: Server, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An account with the README's grants on the test's own schema; its password is set."""
    name = f"reader_{database}"
    server.sql(
        f"DROP USER IF EXISTS '{name}'@'%'; CREATE USER '{name}'@'%' IDENTIFIED BY 'Gr4nts!';"
    )
    for statement in grants(server.family):
        ours = statement.replace("shop.*", f"`{database}`.*").replace("vault@'%'", f"'{name}'@'%'")
        server.sql(ours)
    monkeypatch.setenv("MYSQL_PWD", "Gr4nts!")
    yield name
    server.sql(f"DROP USER '{name}'@'%';")


def test_the_grants_of_the_readme_are_enough(
    server: Server,
    database: str,
    account: str,
    vault: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20), KEY (name));"
        "INSERT INTO t VALUES (1, 'one'), (2, 'two');",
        database,
    )
    where = ["-h", server.host, "-P", str(server.port), "-u", account, "--vault", str(vault)]

    def run(*words: str) -> None:
        code = main([*words, *where])
        seen = capsys.readouterr()
        assert code == 0, seen.err
        assert "hint" not in seen.err + seen.out, seen

    run("snapshot", f"{database}.*", "--name", "one")
    run("drill", "one", "--indexes", "after")
    restore = ["restore", "one", f"{database}.t", "--swap", "--indexes", "after"]
    run(*restore)
    run_id = restore_run(vault)
    run("rollback", run_id)
    run("cleanup", run_id)
    assert server.query("SHOW TABLES", database) == [("t",)]


def restore_run(vault: Path) -> str:
    """Not the drill's, which may have begun in the same second."""
    runs = vault / ".runs"
    [run] = [
        one
        for one in list_runs(runs)
        if replay(one, read_journal(runs / one)).operation not in ("drill", "rollback")
    ]
    return run


def test_the_readme_has_grants_for_both_families() -> None:
    assert len(grants("mariadb")) == len(grants("mysql")) == 5
