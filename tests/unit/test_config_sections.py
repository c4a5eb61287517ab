"""Named sections: what profiles, jobs and the command line refer to, and what is not there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tablevault.cli.app import app
from tablevault.cli.config import load_profile, read_configuration
from tablevault.cli.config_file import ConfigMistaken
from tablevault.cli.jobs_config import read_jobs
from tablevault.cli.main import main
from tablevault.vault.store import open_store
from tests.unit.test_verify_nights import IDS
from tests.unit.vaults import write_snapshot

SECTIONS = """
[server.db1]
host = "db1.internal"
user = "backup"
ssl_mode = "REQUIRED"
[vault.main]
uri = "{vault}"
retention = "month"
[retention.month]
keep_last = 1
[retention.all]
keep_days = 9999
[tables.shop]
include = ["shop.*", "!shop.a"]
exclude = ["shop.b"]
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, vault: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("TABLEVAULT_VAULT", raising=False)

    def write(text: str) -> Path:
        path = tmp_path / "tablevault.toml"
        path.write_text(text.replace("{vault}", str(vault)))
        return path

    return write


@pytest.fixture
def snapshots(vault: Path) -> list[str]:
    store = open_store(str(vault), create=True)
    for one in IDS:
        write_snapshot(store, one, rows=90)
    return list(IDS)


def test_a_profile_has_what_it_refers_to_under_its_own(write: Write, vault: Path) -> None:
    write(
        SECTIONS + '[profile.default]\nserver = "db1"\nuser = "me"\nvault = "main"\n'
        'tables = ["@shop", "other.*"]\n[profile.b]\ntables = "shop"\n'
    )
    values = dict(load_profile(None, None).values)
    assert (values["host"], values["user"], values["ssl_mode"]) == (
        "db1.internal",
        "me",
        "REQUIRED",
    )
    assert values["vault"] == str(vault)
    assert values["retention"] == {"keep_last": 1}
    assert values["tables"] == ("shop.*", "!shop.a", "!shop.b", "other.*")
    assert load_profile(None, "b").get("tables") == ("shop.*", "!shop.a", "!shop.b")


def test_a_folder_may_be_named_as_before(write: Write) -> None:
    write('[profile.default]\nvault = "backups"\n')
    assert load_profile(None, None).values == {"vault": "backups"}


@pytest.mark.parametrize(
    ("text", "line", "key", "what", "hint"),
    [
        ('[profile.p]\nserver = "bd1"', 2, "profile.p.server", "no [server.bd1]", "mean 'db1'"),
        ('[profile.p]\nvault = "mian"', 2, "profile.p.vault", "no [vault.mian]", "mean 'main'"),
        (
            '[profile.p]\ntables = [\n"a.b",\n"@shpo"]',
            4,
            "profile.p.tables",
            "no [tables.shpo]",
            "'shop'",
        ),
        ('[profile.p]\ntables = "shpo"', 2, "profile.p.tables", "no [tables.shpo]", "'shop'"),
        ('[profile.p]\nserver = "db1"\nport = 1', 3, "profile.p.port", "[server.db1] says", ""),
        ('[vault.x]\nuri = "/x"\nretention = "mont"', 3, "vault.x.retention", "no [ret", "'month'"),
        ("[vault.x]", 1, "vault.x", "needs a uri", "/backup/vault"),
        ("[retention.x]", 1, "retention.x", "no rule", "keep_last"),
        ("[retention.x]\nkeep_lats = 1", 2, "retention.x.keep_lats", "unknown", "'keep_last'"),
        ("[retention.x]\nkeep_last = 0", 2, "retention.x.keep_last", "above zero", ""),
        ("[tables.x]\nexclude = []", 1, "tables.x", "needs tables", "include"),
        ('[tables.x]\ninclude = [\n"@shop"]', 3, "tables.x.include", "cannot name another", ""),
        (
            '[tables.x]\ninclude = ["a.b"]\nexclude = ["!a.b"]',
            3,
            "tables.x.exclude",
            "without !",
            "",
        ),
        ('[server.x]\nssl_mode = "require"', 2, "server.x.ssl_mode", "one of", "'required'"),
        ('[server.x]\npassword = "hush"', 2, "server.x.password", "unknown key", "defaults_file"),
        ('[server."a b"]\nhost = "x"', 1, "server.a b", "letters", ""),
        ('[srever.x]\nhost = "x"', 1, "srever", "unknown section", "'server'"),
    ],
)
def test_a_mistake_has_its_line_and_what_was_meant(
    write: Write, text: str, line: int, key: str, what: str, hint: str
) -> None:
    path = write(f"{text}\n{SECTIONS}")
    with pytest.raises(ConfigMistaken) as refused:
        read_configuration(path)
    (mistake,) = refused.value.mistakes
    assert (mistake.line, mistake.key) == (line, key)
    assert what in mistake.what
    assert hint in (mistake.hint or "")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("job", "line", "what", "hint"),
    [
        ('server = "db2"\nsteps = ["doctor"]', 2, "no [server.db2]", "'db1'"),
        ('vault = "mian"\nsteps = ["doctor"]', 2, "no [vault.mian]", "'main'"),
        ('steps = [\n"prune --retention moth"]', 3, "no [retention.moth]", "'month'"),
        ('steps = [\n"snapshot @shpo --name x"]', 3, "no [tables.shpo]", "'shop'"),
        ('steps = [\n"drill x --server db2"]', 3, "no [server.db2]", "'db1'"),
        ('server = "db1"\nsteps = [\n"drill x -h y"]', 4, "not --host", ""),
        ('vault = "/v"\nsteps = [\n"prune --execute"]', 4, "no rule says", "--retention"),
    ],
)
def test_so_has_one_of_a_job(write: Write, job: str, line: int, what: str, hint: str) -> None:
    path = write(f"[job.nightly]\n{job}\n{SECTIONS}")
    with pytest.raises(ConfigMistaken) as refused:
        read_jobs(path, app.commands)
    (mistake,) = refused.value.mistakes
    assert mistake.line == line
    assert what in mistake.what
    assert hint in (mistake.hint or "")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    told = capsys.readouterr()
    return code, told.out, told.err


def removed(out: str) -> int:
    return [one["action"] for one in json.loads(out)["snapshots"]].count("remove")


def test_the_command_line_refers_to_them(
    write: Write, snapshots: list[str], vault: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(SECTIONS)
    assert run(capsys, "list", "--vault", "main", "-q")[1].split() == snapshots
    code, out, _ = run(capsys, "prune", "--vault", "main", "--json")
    assert (code, removed(out)) == (0, len(snapshots) - 1)  # by its own rules
    words = ("prune", "--vault", str(vault), "--json")
    assert removed(run(capsys, *words, "--retention", "month")[1]) == len(snapshots) - 1
    assert removed(run(capsys, *words, "--retention", "all")[1]) == 0
    assert removed(run(capsys, "prune", "--vault", "main", "--keep-last", "2", "--json")[1]) == (
        len(snapshots) - 2
    )
    code, _, err = run(capsys, *words)
    assert (code, "no rule says what to keep" in err) == (2, True)
    code, _, err = run(capsys, *words, "--retention", "all", "--keep-last", "1")
    assert (code, "goes with no --keep" in err) == (2, True)
    code, _, err = run(capsys, *words, "--retention", "al")
    assert code == 2
    assert "there is no [retention.al] in tablevault.toml" in err
    assert "did you mean 'all'?" in err


def test_tables_of_a_section_are_those_it_includes(
    write: Write, snapshots: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write(f'{SECTIONS}[tables.none]\ninclude = ["shop.*"]\nexclude = ["shop.orders"]\n')
    words = ("verify", "latest", "--vault", "main")
    code, out, _ = run(capsys, *words, "@shop", "--json")
    assert (code, json.loads(out)["status"]) == (0, "ok")
    code, _, err = run(capsys, *words, "@none")
    assert code == 2
    assert "is left of shop.* !shop.orders" in err
    code, _, err = run(capsys, *words, "!shop.o*")
    assert (code, "is left of !shop.o*" in err) == (2, True)
    assert run(capsys, *words, "!shop.x")[0] == 0
    code, _, err = run(capsys, *words, "@shpo")
    assert (code, "did you mean 'shop'?" in err) == (2, True)


def test_a_server_and_an_address_exclude_each_other(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(SECTIONS)
    code, _, err = run(capsys, "doctor", "--server", "db1", "-h", "db2")
    assert (code, "--server and --host exclude each other" in err) == (2, True)


def test_a_job_prunes_by_the_rules_of_its_vault(
    write: Write, snapshots: list[str], vault: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = '[job.tidy]\nvault = "main"\nsteps = ["prune --execute"]\n'
    path = write(f"{SECTIONS}{job}")
    code, _, err = run(capsys, "job", "tidy", "--config", str(path))
    assert (code, err.count("error")) == (0, 0), err
    assert len(snapshots) == 3
    assert len(list(vault.glob("*/manifest.json"))) == 1
