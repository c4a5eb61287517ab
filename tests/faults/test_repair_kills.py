"""A repair, or its undo, killed at each kind of journal entry, at random moments, or by the server.

One table with triggers, damaged in every way; the run is resumed and must end with the rows of the
snapshot, the undo with those of the damage, the triggers as they were and never fired.
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tablevault.cli.main import main
from tablevault.demo.server import PrivateServer
from tablevault.errors import TablevaultError
from tablevault.ops import repair_stage
from tablevault.ops.diff import diff
from tablevault.ops.diff_terms import DiffOptions
from tablevault.ops.repair import repair, resume, undo
from tablevault.ops.repair_terms import RepairOptions
from tablevault.ops.runs import replay
from tablevault.ops.swap import cleanup
from tests.faults.place import Place, Restoring, server_of, take, wait_for
from tests.faults.test_journal_kills import KILLER
from tests.faults.test_printed_commands import pasted
from tests.servers import ROOT
from tests.support.cutover import trigger_list

KILLS = int(os.environ.get("TABLEVAULT_TEST_KILLS", "5"))
BATCH_ROWS = 40
DAMAGE = """
UPDATE orders SET amount = amount + 1 WHERE id % 9 = 0;
UPDATE orders SET note = NULL, state = 'lost' WHERE id % 31 = 0;
DELETE FROM orders WHERE id % 50 = 1;
INSERT INTO orders (id, state) SELECT id + 100000, 'new' FROM orders WHERE id % 50 = 2;
"""
TRIGGERS = """
CREATE TABLE IF NOT EXISTS log (what VARCHAR(20));
CREATE TRIGGER u1 BEFORE UPDATE ON orders FOR EACH ROW SET NEW.amount = 0;
CREATE TRIGGER u2 BEFORE UPDATE ON orders FOR EACH ROW SET NEW.note = 'fired';
CREATE TRIGGER i AFTER INSERT ON orders FOR EACH ROW INSERT INTO log VALUES ('insert');
CREATE TRIGGER d AFTER DELETE ON orders FOR EACH ROW INSERT INTO log VALUES ('delete');
"""


class Patient:
    """The damaged table of a place, and the runs that repair it."""

    def __init__(self, place: Place, triggers: str = TRIGGERS, altered: str = "") -> None:
        self.place = place
        self.server, self.schema = place.server, place.schema
        place.live["notes"] = place.before["notes"]
        self.server.sql(DAMAGE + altered, self.schema)
        self.whole = place.before["orders"]
        self.damaged = self.rows()
        self.server.sql(triggers or "CREATE TABLE log (what INT)", self.schema)
        self.triggers = trigger_list(self.server, self.schema)

    def rows(self) -> str:
        return self.place.checksums()["orders"]

    def words(self, *words: str) -> list[str]:
        return [*words, *self.server.arguments(), "--vault", str(self.place.vault), "-q"]

    def begin(self, *words: str, bomb: str = "never:-1") -> subprocess.Popen[bytes]:
        """The command line in a process of its own, in small batches."""
        return subprocess.Popen(
            [sys.executable, str(KILLER), bomb, *self.words("repair", *words)],
            env={
                **self.server.environment(),
                "PYTHONPATH": str(ROOT),
                "TABLEVAULT_TEST_BATCH_ROWS": str(BATCH_ROWS),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def dies(self, bomb: str, *words: str) -> str:
        """It must kill itself; returns what it told."""
        process = self.begin(*words, bomb=bomb)
        _, told = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, f"{bomb}: {told.decode()}"
        return told.decode()

    def compare(self) -> None:
        """A diff, whose findings a repair will go by."""
        diff(
            self.place.options(),
            self.place.store,
            "latest",
            DiffOptions(),
            state_dir=self.place.state_dir,
        )

    def execute(self) -> tuple[str, ...]:
        return "latest", f"{self.schema}.orders", "--execute", "--delete-extra", "--threads", "2"

    def new_runs(self, known: set[str]) -> list[str]:
        return [run for run in self.place.runs() if run not in known and self.place.journal(run)]

    def kinds(self, run: str) -> list[str]:
        return [entry["kind"] for entry in self.place.journal(run)]

    def resume(self, run: str) -> None:
        result = resume(self.place.options(), self.place.store, run, self.place.state_dir)
        assert result.findings == ()

    def undo(self, run: str) -> None:
        result = undo(self.place.options(), self.place.store, run, self.place.state_dir)
        assert result.findings == ()

    def assert_whole(self, when: str = "") -> None:
        assert self.rows() == self.whole, when
        self.assert_untriggered(when)

    def assert_damaged(self, when: str = "") -> None:
        assert self.rows() == self.damaged, when
        self.assert_untriggered(when)

    def assert_untriggered(self, when: str) -> None:
        assert trigger_list(self.server, self.schema) == self.triggers, when
        assert self.server.value("SELECT COUNT(*) FROM log", self.schema) == "0", when

    def cleaned(self, run: str) -> None:
        cleanup(self.place.options(), run, self.place.state_dir)
        assert self.place.leftovers() == []


@pytest.fixture
def patient(place: Place) -> Patient:
    return Patient(place)


def middles(kinds: list[str], first: int = 0) -> list[str]:
    """Of each kind of entry the one in the middle: where the step it is of may be half done."""
    counts = Counter(kinds[first:])
    reports = {"created", "staged", "saved", "put back", "taken back", "triggers on", "repaired"}
    return [
        f"{'before' if kind in reports else 'after'}:{kind}:{count // 2}"
        for kind, count in counts.items()
    ]


def everywhere(kinds: list[str], first: int = 0) -> list[str]:
    return [f"{side}:{n}" for n in range(len(kinds) - first) for side in ("before", "after")]


Points = Callable[[list[str], int], list[str]]


def repaired(patient: Patient) -> str:
    """A run that nobody kills."""
    known = set(patient.place.runs())
    process = patient.begin(*patient.execute())
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told.decode()
    [run] = patient.new_runs(known)
    patient.assert_whole()
    return run


def walk_forth(
    patient: Patient, points: Points, prepare: Callable[[], None] = lambda: None
) -> None:
    prepare()
    run = repaired(patient)
    kinds = patient.kinds(run)
    assert {
        *("begun", "connections", "comparing", "created", "staged", "saved", "trial"),
        *("triggers off", "putting", "put back", "triggers on", "repaired"),
    } <= set(kinds)
    assert kinds.count("putting") > 4
    patient.undo(run)
    patient.assert_damaged()
    patient.cleaned(run)
    for bomb in points(kinds, 0):
        known = set(patient.place.runs())
        prepare()
        patient.dies(bomb, *patient.execute())
        if not (new := patient.new_runs(known)):
            patient.assert_damaged(bomb)
            continue
        if "saved" not in patient.kinds(new[0]):
            patient.assert_damaged(bomb)
        if "repaired" not in patient.kinds(new[0]):
            patient.resume(new[0])
        patient.assert_whole(bomb)
        patient.undo(new[0])
        patient.assert_damaged(bomb)
        patient.cleaned(new[0])


def walk_back(patient: Patient, points: Points) -> None:
    run = repaired(patient)
    before = len(patient.kinds(run))
    patient.undo(run)
    kinds = patient.kinds(run)
    assert {"undoing", "taking", "taken back", "triggers off", "undone"} <= set(kinds[before:])
    patient.cleaned(run)
    for bomb in points(kinds, before):
        run = repaired(patient)
        patient.dies(bomb, "--undo", run)
        if "undone" in patient.kinds(run):
            with pytest.raises(TablevaultError, match="nothing to resume"):
                patient.resume(run)
        elif "undoing" in patient.kinds(run):
            patient.resume(run)
        else:
            patient.undo(run)
        patient.assert_damaged(bomb)
        patient.cleaned(run)


def test_killed_at_each_kind_of_entry(patient: Patient) -> None:
    walk_forth(patient, middles)


def test_killed_while_what_a_diff_has_found_is_put_back(patient: Patient) -> None:
    walk_forth(patient, middles, patient.compare)
    saved = [
        entry
        for run in patient.place.runs()
        for entry in patient.place.journal(run)
        if entry["kind"] == "saved"
    ]
    assert saved and all(entry["compared"][0]["before"] for entry in saved)


def test_an_undo_killed_at_each_kind_of_entry(patient: Patient) -> None:
    walk_back(patient, middles)


ALTERED = (
    "ALTER TABLE orders DROP COLUMN note, ADD COLUMN mine INT, DROP KEY state;"
    "UPDATE orders SET mine = id;"
)


def test_killed_while_the_definition_is_put_back(place: Place) -> None:
    """A column that the snapshot does not have is dropped, and is there again after the undo."""
    patient = Patient(place, "", ALTERED)
    run = repaired(patient)
    forth = patient.kinds(run)
    patient.undo(run)
    patient.assert_damaged()
    back = patient.kinds(run)[len(forth) :]
    patient.cleaned(run)
    for side, kind in (("after", "creating"), ("after", "altering"), ("before", "altered")):
        known = set(place.runs())
        patient.dies(f"{side}:{forth.index(kind)}", *patient.execute())
        [run] = patient.new_runs(known)
        patient.resume(run)
        patient.assert_whole(kind)
        patient.undo(run)
        patient.assert_damaged(kind)
        patient.cleaned(run)
    for side, kind in (("after", "altering back"), ("before", "undone")):
        run = repaired(patient)
        patient.dies(f"{side}:{back.index(kind)}", "--undo", run)
        patient.resume(run)
        patient.assert_damaged(kind)
        patient.cleaned(run)


@pytest.mark.slow
def test_killed_at_every_entry(patient: Patient) -> None:
    walk_forth(patient, everywhere)
    walk_back(patient, everywhere)


def test_killed_at_random_moments(patient: Patient) -> None:
    """TABLEVAULT_TEST_KILLS runs; each number is a seed.  Resumptions and undos die as well."""
    began_s = time.monotonic()
    run = repaired(patient)
    span_s = time.monotonic() - began_s
    patient.undo(run)
    patient.cleaned(run)
    at_work = 0
    for number in range(KILLS):
        chance, name = random.Random(number), f"kill {number}"
        known = set(patient.place.runs())
        words: tuple[str, ...] = patient.execute()
        for last in (False, False, True):
            process = patient.begin(*words)
            if not last:
                time.sleep(chance.uniform(0.3, 1.0) * span_s)
                process.kill()
            _, told = process.communicate(timeout=60)
            assert process.returncode in (0, -signal.SIGKILL), f"{name}: {told.decode()}"
            if new := patient.new_runs(known):
                at_work += "saved" in patient.kinds(new[0])
                words = ("--resume", new[0])
            if new and "repaired" in patient.kinds(new[0]):
                break
        patient.assert_whole(name)
        [run] = new
        process = patient.begin("--undo", run)
        time.sleep(chance.uniform(0.3, 1.0) * span_s)
        process.kill()
        process.communicate()
        if "undone" not in patient.kinds(run):
            patient.undo(run)
        patient.assert_damaged(name)
        patient.cleaned(run)
    assert at_work >= KILLS / 3, f"only {at_work} of {KILLS} runs were killed at work"


def test_the_command_that_goes_on_is_printed(
    patient: Patient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an interruption, by `runs`, by whoever would begin another run; and it works."""
    monkeypatch.setenv("MYSQL_PWD", patient.server.password)
    putting = amid_putting(patient)
    known = set(patient.place.runs())
    process = patient.begin(*patient.execute(), bomb=f"interrupt:{putting}")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told.decode()
    [run] = patient.new_runs(known)
    patient.assert_untriggered("interrupted")
    for text in (
        told.decode(),
        printed(capsys, "runs", "--vault", str(patient.place.vault)),
        printed(capsys, *patient.words(*("repair", *patient.execute()))),
    ):
        again = [words for words in commands(text) if words[1:4] == ["repair", "--resume", run]]
        assert again, text
        assert again[0][4 : 4 + len(patient.server.arguments())] == patient.server.arguments()
        assert patient.server.password not in text
    out = pasted(shlex.join(again[0]), Path("/"), MYSQL_PWD=patient.server.password)
    patient.assert_whole()
    [back] = [words for words in commands(out) if words[1:3] == ["repair", "--undo"]]
    pasted(shlex.join(back), Path("/"), MYSQL_PWD=patient.server.password)
    patient.assert_damaged()


def amid_putting(patient: Patient) -> int:
    """The number of an entry in the midst of putting rows back."""
    run = repaired(patient)
    kinds = patient.kinds(run)
    patient.undo(run)
    patient.cleaned(run)
    numbers = [number for number, kind in enumerate(kinds) if kind == "putting"]
    return numbers[len(numbers) // 2]


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main(list(words))
    out, errors = capsys.readouterr()
    return out + errors


def commands(text: str) -> list[list[str]]:
    """Every tablevault command that a text names, in words."""
    parts = text.replace("`", "\n").replace("; ", "\n").splitlines()
    found = [part[part.index("tablevault ") :] for part in parts if "tablevault " in part]
    return [shlex.split(one) for one in found]


# ---------------------------------------------------------------- the server dies


def repairing(place: Place, how: Callable[..., Any] = repair, run: str = "") -> Restoring:
    options = RepairOptions(patterns=(f"{place.schema}.orders",), delete_extra=True, threads=2)
    return Restoring(
        lambda observer: (
            how(place.options(), place.store, run, place.state_dir, observer)
            if run
            else how(place.options(), place.store, "latest", options, place.state_dir, observer)
        )
    ).start()


@pytest.mark.parametrize("triggers", [TRIGGERS, ""])
def test_the_server_is_killed_while_rows_are_put_back(
    mortal: PrivateServer, vault: Path, monkeypatch: pytest.MonkeyPatch, triggers: str
) -> None:
    monkeypatch.setattr(repair_stage, "BATCH_ROWS", 200)
    mortal.sql("CREATE DATABASE shop")
    patient = Patient(take(server_of(mortal), "shop", vault, orders=30_000), triggers)
    process = repairing(patient.place)
    wait_for(lambda: process.events and _putting(patient, process.run, 3), why="batches put back")
    mortal.kill()
    time.sleep(0.5)
    mortal.start()
    result = process.succeeded(120)
    assert result.findings == ()
    patient.assert_whole()
    assert any("lost" in line or "reached" in line for line in process.told.splitlines())
    process = repairing(patient.place, undo, process.run)
    process.succeeded(120)
    patient.assert_damaged()


@pytest.mark.usefixtures("impatient")
def test_the_server_does_not_come_back(
    mortal: PrivateServer, vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair_stage, "BATCH_ROWS", 200)
    mortal.sql("CREATE DATABASE shop")
    patient = Patient(take(server_of(mortal), "shop", vault, orders=30_000))
    process = repairing(patient.place)
    wait_for(lambda: process.events and _putting(patient, process.run, 3), why="batches put back")
    mortal.kill()
    failure = process.failed(5, 60)
    assert f"tablevault repair --resume {process.run}" in (failure.hint or "")
    mortal.start()
    state = replay(process.run, patient.place.journal(process.run))
    assert state.status == "repairing"
    patient.resume(process.run)
    patient.assert_whole()
    patient.cleaned(process.run)


def _putting(patient: Patient, run: str, batches: int) -> bool:
    journal = patient.place.state_dir / run / "journal.jsonl"
    return journal.exists() and patient.kinds(run).count("put back") >= batches
