"""What a status says, who is alive, and how an end is put together: without a server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tablevault import events
from tablevault.errors import CannotComplete, UsageError
from tablevault.events import Event, Progress, Reporter, TableProgress, to_record
from tablevault.ops.running import reported
from tablevault.ops.status import Status, StatusWriter, process_began, process_lives, read_status
from tablevault.ops.watching import event_of, find_run, watch, ways_on
from tablevault.vault.journal import Journal

RUN = "20260101T000000Z-abcdef"


def status(**changes: object) -> Status:
    values = {
        "run": RUN,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "process_began": process_began(os.getpid()),
        "written": time.time(),
        "said": time.time(),
        "began": {},
        **changes,
    }
    return Status(**values)  # type: ignore[arg-type]


def test_our_own_process_lives_and_a_later_one_of_its_id_is_another() -> None:
    assert process_lives(status())
    assert not process_lives(status(process_began="1"))


def test_an_ended_process_is_gone_also_before_it_is_waited_for() -> None:
    process = subprocess.Popen(["true"])
    began = process_began(process.pid)
    deadline = time.monotonic() + 5
    while process_lives(status(pid=process.pid, process_began=began)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.wait()
    assert not process_lives(status(pid=process.pid, process_began=began))


def test_of_another_host_only_the_age_tells() -> None:
    assert process_lives(status(host="elsewhere", pid=1))
    assert not process_lives(status(host="elsewhere", written=time.time() - 60))


def test_an_event_survives_the_file() -> None:
    progress = Progress(
        rows_done=1,
        rows_total=2,
        bytes_done=3,
        bytes_total=4,
        rate_bytes_s=0.5,
        remaining_s=None,
        tables=(TableProgress(table="a.b", rows_done=1, rows_total=2, bytes_done=3),),
    )
    for event in (progress, events.Waiting(what="x", seconds=1.0, blockers=("one",))):
        assert event_of(json.loads(json.dumps(to_record(event)))) == event
    assert event_of({"type": "Reporter"}) is None
    assert event_of({"type": "NotYetInvented", "x": 1}) is None
    assert event_of({"type": "Hint"}) is None  # a field is missing


def test_a_run_is_shown_to_its_end(tmp_path: Path) -> None:
    reporter = Reporter(RUN)
    with pytest.raises(CannotComplete), reported(reporter, "restore", state_dir=tmp_path):
        reporter.begin_phase("loading")
        reporter.hint("look here")
        raise CannotComplete("the disk is full", hint="free space")
    seen: list[Event] = []
    end = watch(tmp_path, None, seen.append)
    assert [type(event).__name__ for event in seen] == [
        "RunBegan",
        "Hint",
        "PhaseBegan",
        "RunEnded",
    ]
    assert (end.outcome, end.message, end.hint) == ("failed", "the disk is full", "free space")
    assert (end.phase, end.ways) == ("loading", ())
    assert (tmp_path / RUN).stat().st_mode & 0o777 == 0o700


def test_a_journal_without_a_status_is_enough_to_tell(tmp_path: Path) -> None:
    header = {"operation": "restore", "snapshot": "s", "options": {}, "tables": []}
    with Journal.create(tmp_path / RUN, RUN, header) as journal:
        journal.append("proven", table=0, chunk=0, group=0)
        journal.append("proven", table=0, chunk=0, group=1)
    end = watch(tmp_path, RUN)
    assert (end.outcome, end.state, end.snapshot) == ("died", "begun", "s")
    assert "row groups loaded and proven: 2" in end.came_to
    assert [command for _, command in end.ways] == ["restore --resume", "cleanup"]
    assert not list((tmp_path / RUN).glob("status*"))  # looking on leaves nothing


def test_a_damaged_journal_is_said(tmp_path: Path) -> None:
    (tmp_path / RUN).mkdir()
    (tmp_path / RUN / "journal.jsonl").write_text("nonsense\n{}\n")
    end = watch(tmp_path, RUN)
    assert end.outcome == "died"
    assert "damaged" in end.came_to[0]


def test_the_newest_run_is_the_one_that_last_gave_a_sign(tmp_path: Path) -> None:
    for name, age_s in (("20260103T000000Z-c", 50), ("20260101T000000Z-a", 5)):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "status.json"
        file.write_text("{}")
        os.utime(file, (time.time() - age_s,) * 2)
    assert find_run(tmp_path).name == "20260101T000000Z-a"
    assert find_run(tmp_path, "20260103").name == "20260103T000000Z-c"
    with pytest.raises(UsageError, match="may mean several"):
        find_run(tmp_path, "2026")
    with pytest.raises(UsageError, match="there is no run 2027"):
        find_run(tmp_path, "2027")
    with pytest.raises(UsageError, match="no runs"):
        find_run(tmp_path / "empty")


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    reporter = Reporter(RUN)
    with reported(reporter, "snapshot", state_dir=tmp_path / "file"):
        reporter.begin_phase("reading")


def test_what_an_old_run_left_is_forgotten_unless_it_has_a_journal(tmp_path: Path) -> None:
    for name in ("old", "journalled", "other"):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "status.json"
        file.write_text("{}")
        os.utime(file, (1.0, 1.0))
    (tmp_path / "journalled" / "journal.jsonl").write_text("")
    (tmp_path / "other" / "note.txt").write_text("mine")
    writer = StatusWriter(tmp_path / RUN)
    writer.start()
    writer(events.RunBegan(operation="verify", run=RUN))
    writer.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [RUN, "journalled", "other"]
    assert read_status(tmp_path / RUN) is not None


@pytest.mark.parametrize("state", ["begun", "proven", "swapping", "swapped", "rolling back"])
def test_there_is_a_way_on_from_every_state(state: str) -> None:
    assert ways_on(state)
