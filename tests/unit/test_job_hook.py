"""A job's hook and its webhook: each is told once of each change, and again when it was not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tablevault.cli import job_hook
from tablevault.cli.job_hook import call_hook
from tablevault.cli.jobs_config import Job
from tablevault.names import JOBS_FOLDER
from tablevault.vault.claims import take
from tablevault.vault.store import open_store
from tests.unit.test_jobs import run, stat_mode, write
from tests.unit.test_verify_nights import IDS
from tests.unit.test_webhook import Receiver, call, ended, receiver, state
from tests.unit.vaults import write_snapshot

__all__ = ["receiver", "state"]  # fixtures

Way = Callable[[int, bool], None]
"""Tell of a run that ended with this exit code, while who is told can be reached or not."""


def program(folder: Path) -> tuple[str, ...]:
    """A hook that notes what it is told, and fails while there is a file `down`."""
    code = (
        "import json, os, pathlib, sys\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        "(folder / 'tries').open('a').write('x')\n"
        "if (folder / 'down').exists(): sys.exit(1)\n"
        "told = os.environ['TABLEVAULT_STATUS']\n"
        "assert json.load(sys.stdin)['status'] == told\n"
        "(folder / 'notes').open('a').write(told + ' ')\n"
    )
    return (sys.executable, "-c", code)


@pytest.fixture
def hook(state: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Way, Callable[[], list[str]]]:
    monkeypatch.setattr(job_hook, "_TRIES_S", (0.0, 0.0))
    words = program(state)
    job = Job("nightly", (("verify", "latest"),), on_failure=words, on_recovery=words)

    def tell(code: int, reachable: bool) -> None:
        down = state / "down"
        down.unlink() if reachable and down.exists() else None
        None if reachable else down.touch()
        call_hook(job, ended(code), state, quiet=True)

    notes = state / "notes"
    return tell, lambda: notes.read_text().split() if notes.exists() else []


@pytest.fixture
def webhook(receiver: Receiver, state: Path) -> tuple[Way, Callable[[], list[str]]]:
    refused: list[int] = []

    def tell(code: int, reachable: bool) -> None:
        before = len(receiver.calls)
        receiver.answers = [] if reachable else [404]
        call(state, code)
        refused.extend(range(before, len(receiver.calls)) if not reachable else ())

    return tell, lambda: [one for at, one in enumerate(receiver.states) if at not in refused]


@pytest.mark.parametrize("way", ["hook", "webhook"])
@pytest.mark.parametrize(
    ("nights", "told"),
    [
        ([(0, True), (3, True), (3, True), (4, True), (0, True), (0, True), (5, True)], "frf"),
        ([(3, False), (3, False), (3, True), (3, True), (0, True)], "fr"),
        ([(3, True), (0, False), (0, True), (0, True)], "fr"),
        ([(3, True), (0, False), (3, True), (3, True), (0, True)], "fr"),  # still that failure
        ([(3, False), (0, True), (3, True)], "f"),  # over before anybody was told
    ],
)
def test_each_change_is_told_once_and_again_until_it_arrives(
    request: pytest.FixtureRequest, way: str, nights: list[tuple[int, bool]], told: str
) -> None:
    tell, heard = request.getfixturevalue(way)
    for code, reachable in nights:
        tell(code, reachable)
    assert [one[0] for one in heard()] == list(told)


def test_who_cannot_be_reached_is_tried_again_and_a_hint(
    hook: tuple[Way, Callable[[], list[str]]], state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell, heard = hook
    tell(3, False)
    assert (state / "tries").read_text() == "xx"
    assert "hint: the hook for failed could not be carried out: " in capsys.readouterr().err
    tell(3, True)
    assert heard() == ["failed"]
    assert capsys.readouterr().err == ""
    assert stat_mode(state / JOBS_FOLDER / "nightly.hook.json") == 0o600


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (("false", "--token=hush"), "false ended with exit code 1"),
        (("sh", "-c", "kill -9 $$ # hush"), "sh was ended by signal 9"),
        (("sleep", "50", "--", "hush"), "sleep ended with exit code 1"),
        (("sh", "-c", "sleep 50 # hush"), "sh had not ended after 0 s"),
        (("/nowhere/hook", "hush"), "/nowhere/hook cannot be started: No such file or directory"),
    ],
)
def test_a_hook_is_waited_for_in_words_and_its_arguments_are_in_none(
    program: tuple[str, ...],
    why: str,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(job_hook, "_TRIES_S", (0.0, 0.0))
    if "had not" in why:
        monkeypatch.setattr(job_hook, "_WITHIN_S", 0.3)
    job = Job("nightly", (("verify", "latest"),), on_failure=program)
    call_hook(job, ended(3), state)
    first, again, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("calling the hook for failed (up to ")
    assert again.startswith("calling the hook for failed") or program[0] in again
    assert last == f"hint: the hook for failed could not be carried out: {why}"
    assert "hush" not in first + again + last
    call_hook(job, ended(3), state, quiet=True)
    assert "calling" not in capsys.readouterr().err


@pytest.mark.parametrize("where", ["gone", "no folder"])
def test_a_vault_that_cannot_be_used_is_told_of(tmp_path: Path, vault: Path, where: str) -> None:
    """A disk that was not mounted: no empty vault is made, and no empty vault found sound."""
    words = ", ".join(repr(word) for word in program(tmp_path))
    job = f'on_failure = [{words}]\nsteps = ["verify --all", "prune --keep-last 1"]'
    config = write(tmp_path / "c.toml", vault, job)
    if where == "no folder":
        vault.write_text("")
    done = run(config, "job", "nightly", "-q")
    assert done.returncode == 2
    assert f"vault {vault} " in done.stderr
    assert (tmp_path / "notes").read_text() == "failed "
    assert not vault.is_dir()
    state = tmp_path / "journals"
    (state / JOBS_FOLDER).mkdir(parents=True)
    for _ in range(2):  # a memory that lasts
        run(config, "job", "nightly", "-q", "--state-dir", str(state))
    assert (tmp_path / "notes").read_text() == "failed failed "


def test_who_works_on_it_is_no_failure_to_tell_of(tmp_path: Path, vault: Path) -> None:
    store = open_store(str(vault), create=True)
    words = ", ".join(repr(word) for word in program(tmp_path))
    config = write(tmp_path / "c.toml", vault, f'on_failure = [{words}]\nsteps = ["verify --all"]')
    with take(store, "other", "me", (("*",),), lambda _: None):
        assert run(config, "job", "nightly").returncode == 7
    assert not (tmp_path / "notes").exists()


def test_what_cannot_be_remembered_is_said(
    hook: tuple[Way, Callable[[], list[str]]], state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / JOBS_FOLDER / "nightly.hook.json").mkdir()
    hook[0](3, True)
    assert hook[1]() == ["failed"]
    assert "hint: the hook for failed will be called once more: " in capsys.readouterr().err


def test_a_state_without_a_hook_is_passed_over(state: Path) -> None:
    """With `on_failure` alone, the second failure is told of like the first."""
    job = Job("nightly", (("verify", "latest"),), on_failure=program(state))
    for code in (3, 3, 0, 0, 3):
        call_hook(job, ended(code), state)
    assert (state / "notes").read_text() == "failed failed "


def test_metrics_that_cannot_be_written_hide_no_damage(tmp_path: Path, vault: Path) -> None:
    """Both are told, and the exit code is that of the step; else it is the metrics'."""
    store = open_store(str(vault), create=True)
    write_snapshot(store, IDS[0])
    words = ", ".join(repr(word) for word in program(tmp_path))
    job = f'metrics = "/nowhere/x.prom"\non_failure = [{words}]\nsteps = ["verify latest"]'
    config = write(tmp_path / "c.toml", vault, job)
    assert run(config, "job", "nightly").returncode == 4
    part = vault / IDS[0] / "shop/orders/part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    done = run(config, "job", "nightly")
    assert done.returncode == 3
    assert "hint: no metrics were written: cannot write /nowhere/x.prom" in done.stderr
    assert (tmp_path / "notes").read_text() == "failed "
