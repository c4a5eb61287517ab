"""The journal: what it says happened is what was announced, whatever killed the process."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tablevault.errors import CannotComplete, LockedByRun, UsageError
from tablevault.vault.journal import Journal, is_running, list_runs, read_journal

RUN = "20261124T043012Z-1f0c9a"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder with a journal of three entries."""
    folder = tmp_path / "runs" / RUN
    with Journal.create(folder, RUN, {"snapshot": "s"}, kind="restore") as journal:
        journal.append("loading", chunk=1, group=0)
        journal.append("loaded", chunk=1, group=0, keys=["caf\u00e9", None])
    return folder


def kinds(folder: Path) -> list[str]:
    with Journal.open(folder) as journal:
        return [entry["kind"] for entry in journal.entries]


def test_entries_come_back_in_order(folder: Path) -> None:
    with Journal.open(folder) as journal:
        assert [entry["n"] for entry in journal.entries] == [0, 1, 2]
        first, _, last = journal.entries
        assert (first["kind"], first["snapshot"], first["run"]) == ("restore", "s", RUN)
        assert first["pid"] == os.getpid()
        assert last["keys"] == ["caf\u00e9", None]
        assert first["time"] <= last["time"]
        journal.append("done")
    assert kinds(folder) == ["restore", "loading", "loaded", "done"]
    assert [entry["kind"] for entry in read_journal(folder)] == kinds(folder)


def test_an_entry_is_on_disk_when_append_returns(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    write, fsync = os.write, os.fsync
    monkeypatch.setattr(os, "write", lambda *a: calls.append("write") or write(*a))
    monkeypatch.setattr(os, "fsync", lambda *a: calls.append("fsync") or fsync(*a))
    with Journal.open(folder) as journal:
        journal.append("swapping")
    assert calls == ["write", "fsync"]


def test_the_journal_is_private(folder: Path) -> None:
    before = os.umask(0)
    try:
        Journal.create(folder.parent.parent / "other" / "r", "r", {}).close()
    finally:
        os.umask(before)
    for path in (folder.parent.parent / "other").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_torn_last_line_is_dropped_wherever_it_was_torn(folder: Path) -> None:
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        assert [entry["kind"] for entry in read_journal(folder)] == ["restore", "loading"]
        assert path.stat().st_size == end, "a reader changes nothing"
        with Journal.open(folder) as journal:
            assert path.stat().st_size == last
            journal.append("again")
        assert kinds(folder) == ["restore", "loading", "again"]


def test_a_tail_of_zeros_is_torn_too(folder: Path) -> None:
    """After a power cut the file may have grown without its bytes having been written."""
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes() + bytes(300))
    assert kinds(folder) == ["restore", "loading", "loaded"]


def test_one_flipped_bit_anywhere_is_refused(folder: Path) -> None:
    """Or changes nothing: the last digit of a time beyond a double's precision."""
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    entries = read_journal(folder)
    refused = 0
    for place, bit in itertools.product(range(len(whole)), range(8)):
        changed = bytearray(whole)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        try:
            assert read_journal(folder) == entries, (place, bit)
        except CannotComplete as error:
            assert re.search(r"journal .* is damaged in line [123]", error.message)
            refused += 1
    assert refused > 8 * len(whole) - 40


def test_a_missing_line_is_damage(folder: Path) -> None:
    path = folder / "journal.jsonl"
    first, _, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + third)
    with pytest.raises(CannotComplete, match="damaged in line 2"):
        Journal.open(folder)
    with pytest.raises(CannotComplete):
        read_journal(folder)


def test_an_append_that_failed_leaves_no_half_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal.open(folder) as journal:
        with monkeypatch.context() as patch, pytest.raises(CannotComplete, match="No space left"):
            patch.setattr(os, "write", half)
            journal.append("lost")
        assert [entry["kind"] for entry in journal.entries] == ["restore", "loading", "loaded"]
        journal.append("kept")
    assert kinds(folder) == ["restore", "loading", "loaded", "kept"]


def test_one_process_works_on_a_run(folder: Path) -> None:
    assert not is_running(folder)
    with Journal.open(folder) as journal:
        with pytest.raises(LockedByRun, match=f"run {RUN} is locked by another run") as caught:
            Journal.open(folder)
        assert caught.value.exit_code == 7
        assert is_running(folder)
        journal.append("seen")
        assert read_journal(folder)[-1]["kind"] == "seen", "watching needs no lock"
    assert not is_running(folder)


def test_a_killed_process_leaves_the_run_to_others(folder: Path) -> None:
    code = (
        "import os, signal, sys, pathlib\n"
        "from tablevault.vault.journal import Journal\n"
        "journal = Journal.open(pathlib.Path(sys.argv[1]))\n"
        "journal.append('announced', step=1)\n"
        'os.write(journal._descriptor, b\'{"n": 4, "ti\')\n'
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert done.returncode == -9
    assert kinds(folder) == ["restore", "loading", "loaded", "announced"]


def test_threads_may_append_at_the_same_time(folder: Path) -> None:
    with Journal.open(folder) as journal:

        def work(worker: int) -> None:
            for number in range(20):
                journal.append("loaded", worker=worker, number=number)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(kinds(folder)) == 83


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "x"},
        {"options": {"user": "u", "Password": "x"}},
        {"list": [{"mysql_pwd_password": 1}]},
        {"pwd": "x"},
        {"client_secret": "x"},
    ],
)
def test_no_password_is_ever_written(folder: Path, fields: dict[str, object]) -> None:
    with Journal.open(folder) as journal, pytest.raises(ValueError, match="may not have a field"):
        journal.append("connections", **fields)
    with pytest.raises(ValueError, match="may not have a field"):
        Journal.create(folder.parent / "r2", "r2", fields)
    assert len(kinds(folder)) == 3


def test_fields_of_the_journals_own_are_refused(folder: Path) -> None:
    with Journal.open(folder) as journal:
        for name in ("n", "time", "crc"):
            with pytest.raises(ValueError, match=name):
                journal.append("x", **{name: 1})
        with pytest.raises(TypeError):
            journal.append("x", value=object())
        journal.append("fine")
    assert kinds(folder)[-1] == "fine"


def test_runs_that_are_not_there(tmp_path: Path, folder: Path) -> None:
    assert list_runs(folder.parent) == [RUN]
    assert list_runs(tmp_path / "none") == []
    for call in (Journal.open, read_journal, is_running):
        with pytest.raises(UsageError, match="there is no run r9 in"):
            call(folder.parent / "r9")
    with pytest.raises(UsageError, match=f"cannot write the journal of run {RUN}"):
        Journal.create(folder, RUN, {})
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="cannot write the journal of run r"):
        Journal.create(tmp_path / "file" / "r", "r", {})


def test_each_line_is_plain_json(folder: Path) -> None:
    lines = (folder / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["restore", "loading", "loaded"]


def test_there_is_no_journal_without_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed at the first write leaves none; an empty one says what it is."""
    folder = tmp_path / "runs" / RUN

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        Journal.create(folder, RUN, {"snapshot": "s"})
    monkeypatch.undo()
    assert list_runs(folder.parent) == []
    (folder / "journal.jsonl").touch()
    with pytest.raises(UsageError, match=f"run {RUN} ended before it had made anything"):
        Journal.open(folder)
