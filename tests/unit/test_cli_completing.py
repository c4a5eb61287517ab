"""A shell completes commands, snapshots, tables and runs, and never meets an error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tablevault.cli.app import app
from tablevault.errors import SnapshotUnusable
from tablevault.ops.runs import header
from tablevault.vault.catalog import resolve
from tablevault.vault.journal import Journal
from tablevault.vault.store import LocalStore, open_store
from tests.servers import ROOT
from tests.unit.vaults import write_snapshot

FIRST, SECOND, THIRD = IDS = (
    "20261122T230000Z-before",
    "20261124T043012Z-before",
    "20261124T180000Z-after",
)


@pytest.fixture
def store(vault: Path) -> LocalStore:
    found = open_store(str(vault), create=True)
    for one in IDS:
        write_snapshot(found, one, name=one.partition("-")[2], rows=10)
    Journal.create(vault / ".runs" / "20261124T050000Z-aaaaaa", "r", header(FIRST, {}, [])).close()
    return found


def answered(
    vault: Path, typed: str, shell: str, *, ask: str = "complete", **environment: str
) -> str:
    """What the program answers a shell that asks about the last word."""
    words = f"tablevault {typed}"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from tablevault.cli.main import main; sys.exit(main())",
        ],
        env={
            **{name: value for name, value in os.environ.items() if name != "TABLEVAULT_VAULT"},
            "PYTHONPATH": str(ROOT),
            "_TABLEVAULT_COMPLETE": f"{shell}_{ask}",
            "COMP_WORDS": words,
            # fish gives the word itself
            "COMP_CWORD": words.split(" ")[-1] if shell == "fish" else str(words.count(" ")),
            "TABLEVAULT_VAULT": str(vault),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def complete(vault: Path, typed: str, **environment: str) -> list[str]:
    """What bash is offered for the last word."""
    lines = answered(vault, typed, "bash", **environment).splitlines()
    return [line.partition(",")[2] for line in lines if line]


def test_commands_and_options(vault: Path) -> None:
    assert complete(vault, "dr") == ["drill"]
    assert "restore" in complete(vault, "")
    assert complete(vault, "verify --su") == ["--subset"]


def test_snapshots_tables_and_runs(vault: Path, store: LocalStore) -> None:
    assert complete(vault, "restore ") == [*("latest", THIRD, SECOND, FIRST, "after", "before")]
    assert complete(vault, "show 20261122") == [FIRST]
    assert complete(vault, "restore before sh") == ["shop.orders"]
    assert complete(vault, "snapshot sh") == ["shop.orders"]
    assert complete(vault, "swap 2026") == ["20261124T050000Z-aaaaaa"]
    assert complete(vault, "restore --resume 2") == ["20261124T050000Z-aaaaaa"]
    assert complete(vault, f"restore --vault {vault} bef", TABLEVAULT_VAULT="/none") == ["before"]


def test_whatever_has_a_name_is_completed(vault: Path, store: LocalStore, tmp_path: Path) -> None:
    run = "20261124T050000Z-aaaaaa"
    assert complete(vault, "diff before a") == ["after"]
    assert complete(vault, "diff before shop") == ["shop.orders"]
    assert complete(vault, "diff before shop.orders a") == []
    assert complete(vault, "guard --expect-change sh") == ["shop.orders"]
    assert complete(vault, "restore before --into s") == ["shop"]
    assert complete(vault, "report 2") == [run]
    assert complete(vault, "repair --from-diff ") == ["latest", "never", run]
    config = tmp_path / "c.toml"
    # also while it is being written: what is wrong elsewhere in it is in nobody's way
    config.write_text("[job.nightly]\nstep = 1\n[profile.prod]\n[server.db1]\n[retention.long]\n")
    for typed, name in (
        ("job n", "nightly"),
        ("schedule n", "nightly"),
        ("list --profile p", "prod"),
        ("doctor --server d", "db1"),
        ("prune --retention l", "long"),
    ):
        words = typed.split(" ")
        there = [words[0], "--config", str(config), *words[1:]]
        assert complete(vault, " ".join(there)) == [name]


def test_all_that_takes_a_name_is_completed() -> None:
    """Every SNAPSHOT, TABLE and RUN; files and folders by the shell."""
    for command in app.commands.values():
        for param in command.params:
            metavar = param.metavar if isinstance(param, click.Argument | click.Option) else None
            kinds = set(re.split(r"[^A-Z0-9]+", metavar or "")) & {"SNAPSHOT", "TABLE", "RUN"}
            if kinds and param.opts != ["--as"]:
                assert param._custom_shell_complete is not None, (command.name, param.opts)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_answered_in_its_own_way(vault: Path, store: LocalStore, shell: str) -> None:
    """A value with what it is, and the word for a file, for which the shell itself looks."""
    value = {
        "bash": "plain,before\n",
        "zsh": "plain\nbefore\nthe newest of this name\n",
        "fish": "plain,before\tthe newest of this name\n",
    }
    file = {"bash": "file,/et\n", "zsh": "file\n/et\n_\n", "fish": "file,/et\n"}
    assert answered(vault, "restore bef", shell) == value[shell]
    assert answered(vault, "list --config /et", shell) == file[shell]
    folder = {name: text.replace("file", "dir") for name, text in file.items()}
    assert answered(vault, "list --vault /et", shell) == folder[shell]
    script = answered(vault, "", shell, ask="source")
    assert f"_TABLEVAULT_COMPLETE={shell}_complete" in script


def test_bash_itself_completes(vault: Path, store: LocalStore, tmp_path: Path) -> None:
    """Bash runs the script that it is given, and asks the program that is on its PATH."""
    program = tmp_path / "tablevault"
    program.write_text(f"#!{sys.executable}\nfrom tablevault.cli.main import main\nmain()\n")
    program.chmod(0o755)
    typed = (
        'eval "$(_TABLEVAULT_COMPLETE=bash_source tablevault)"\n'
        "COMP_WORDS=(tablevault restore bef) COMP_CWORD=2\n"
        '_tablevault_completion tablevault\necho "${COMPREPLY[@]}"\n'
        "complete -p tablevault\n"
    )
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", typed],
        env={**os.environ, "PATH": path, "TABLEVAULT_VAULT": str(vault), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    offered, declared = done.stdout.splitlines()
    assert offered == "before"
    assert "_tablevault_completion tablevault" in declared


def test_nothing_where_there_is_nothing(vault: Path) -> None:
    assert complete(vault, "restore ") == []
    assert complete(vault, "restore nothing sh") == []
    assert complete(vault, "swap 2") == []


def test_a_snapshot_is_named_by_a_date(store: LocalStore) -> None:
    assert resolve(store, "2026-11-24").id == THIRD
    assert resolve(store, "2026-11-22").id == FIRST
    assert resolve(store, "2026-11-24 12:00").id == SECOND
    assert resolve(store, "2026-11-24T04:30:12Z").id == SECOND
    assert resolve(store, "2026-11-24T04:30:11").id == FIRST
    for none in ("2026-11-23", "2026-11-22T22:59", "2026-13-99", "2026-11"):
        with pytest.raises(SnapshotUnusable, match="no snapshot"):
            resolve(store, none)
    write_snapshot(store, "20261125T000000Z-x", name="2026-11-24", rows=10)
    assert resolve(store, "2026-11-24").id == "20261125T000000Z-x"  # a name goes first
