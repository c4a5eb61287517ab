"""No room: on the server's temporary directory, on its data directory, for its binary log.

Each is a small tmpfs of its own, which only root can mount.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tablevault.demo.server import PrivateServer
from tablevault.events import Retrying, Stalled, Throttled, Waiting
from tests.faults.place import Place, server_of, take

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
MIB = 1 << 20


@dataclass
class Disk:
    """A tmpfs of a stated size."""

    path: Path

    def mount(self, size: str) -> None:
        self.path.mkdir()
        options = f"size={size},mode=0777"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.path], check=True)

    def resize(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", self.path], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", self.path], check=True)

    @property
    def free(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def leave(self, size_bytes: int) -> Path:
        """Fill it up to that; returns the file that does."""
        filler = self.path / "filler"
        with filler.open("wb") as file:
            while self.free > size_bytes:
                file.write(b"\0" * min(MIB, self.free - size_bytes))
                file.flush()
        return filler


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(Path("/tmp") / f"tv-full-{os.getpid()}")
    yield disk
    if disk.path.exists():
        disk.unmount()
        disk.path.rmdir()


def test_the_temporary_directory_in_an_index_build(
    disk: Disk, started: Callable[..., PrivateServer], vault: Path
) -> None:
    disk.mount("2M")
    # small sort buffers, so that the build needs files at all
    server = started(
        binlog=False, extra_args=(f"--tmpdir={disk.path}", "--innodb-sort-buffer-size=65536")
    )
    server.sql("CREATE DATABASE shop")
    place = take(server_of(server), "shop", vault, orders=200_000, chunk_bytes=4 * MIB)
    restoring = place.restore()
    failure = restoring.failed(4)
    assert "ADD KEY" in failure.message, restoring.told
    assert "full" in (failure.hint or "") and "tmpdir" in (failure.hint or ""), restoring.told
    assert f"restore --resume {restoring.run}" in (failure.hint or "")
    place.assert_live()
    disk.resize("256M")
    assert place.resume(restoring.run).succeeded().status == "swapped"
    place.assert_restored()


def full_data(
    disk: Disk, started: Callable[..., PrivateServer], vault: Path, **options: Any
) -> tuple[Place, Path]:
    disk.mount("512M")
    server = started(base=disk.path, redo_log="16M", buffer_pool="64M", **options)
    server.sql("CREATE DATABASE shop")
    place = take(server_of(server), "shop", vault, orders=150_000, chunk_bytes=2 * MIB)
    return place, disk.leave(10 * MIB)


def test_loaders_wait_for_room_and_go_on(
    disk: Disk, started: Callable[..., PrivateServer], vault: Path
) -> None:
    """Before the disk is full: others who use the server write on."""
    place, filler = full_data(disk, started, vault, binlog=False)
    free = disk.free
    restoring = place.restore(stalled_after_s=2.0)
    waiting = restoring.wait_event(Waiting, lambda event: "disk" in event.what)
    assert waiting.what.startswith("the server's disk under") and str(disk.path) in waiting.what
    assert "MB left, the limit is " in waiting.blockers[0]
    restoring.wait_event(Waiting, lambda event: event.seconds > 3)
    assert restoring.running and disk.free > free / 2
    filler.unlink()
    assert restoring.succeeded().status == "swapped"
    place.assert_restored()
    held, *_, over = restoring.of(Throttled)
    assert held.held and not over.held
    assert not restoring.of(Stalled), "who waits for room does not stall"
    assert restoring.gap_s < 2.0


def test_room_that_does_not_come_ends_the_run_resumable(
    disk: Disk, started: Callable[..., PrivateServer], vault: Path
) -> None:
    place, filler = full_data(disk, started, vault, binlog=False)
    restoring = place.restore(pressure_wait_s=1.0)
    failure = restoring.failed(4)
    assert "the server's disk under" in failure.message, restoring.told
    assert "free space there" in (failure.hint or "")
    assert f"restore --resume {restoring.run}" in (failure.hint or "")
    place.assert_live()
    filler.unlink()
    assert place.resume(restoring.run).succeeded().status == "swapped"
    place.assert_restored()


def test_the_data_directory_in_an_emergency(
    disk: Disk, started: Callable[..., PrivateServer], vault: Path
) -> None:
    """Nobody waits; what the server then says is reported, with its remedy."""
    place, filler = full_data(disk, started, vault, binlog=False)
    restoring = place.restore(emergency=True)
    failure = restoring.failed(4)
    assert "full" in failure.message.lower() or "space" in (failure.hint or ""), restoring.told
    assert "free space" in (failure.hint or ""), restoring.told
    assert f"restore --resume {restoring.run}" in (failure.hint or "")
    place.assert_live()
    filler.unlink()
    assert place.resume(restoring.run).succeeded().status == "swapped"
    place.assert_restored()


def test_the_cache_of_the_binary_log(
    disk: Disk, started: Callable[..., PrivateServer], vault: Path, kind: str
) -> None:
    """A transaction's events wait in the temporary directory for their commit.

    The newer MariaDB has another place for them; there the index build finds it full.
    """
    disk.mount("256M")
    server = started(extra_args=(f"--tmpdir={disk.path}",))
    server.sql("CREATE DATABASE shop")
    place = take(server_of(server), "shop", vault, orders=100_000, chunk_bytes=4 * MIB)
    disk.resize("1M")
    restoring = place.restore()
    failure = restoring.failed(4)
    full = "Temporary file write failure" if kind == "mariadb-new" else "No space left on device"
    assert full in failure.message, restoring.told
    assert "full: free space" in (failure.hint or "") and "tmpdir" in (failure.hint or "")
    assert not restoring.of(Retrying), "what cannot get better is not tried again"
    place.assert_live()
    disk.resize("256M")
    assert place.resume(restoring.run).succeeded().status == "swapped"
    place.assert_restored()


@pytest.mark.slow
def test_the_binary_log(
    disk: Disk, started: Callable[..., PrivateServer], vault: Path, tmp_path: Path
) -> None:
    """The server waits for space and tells nobody: it is said, and goes on when there is some.

    It looks for space once a minute.
    """
    logs = disk.path / "logs"
    disk.mount("1G")
    logs.mkdir(mode=0o777)
    logs.chmod(0o777)
    server = started(extra_args=(f"--log-bin={logs}/binlog",))
    server.sql("CREATE DATABASE shop")
    place = take(server_of(server), "shop", vault, orders=100_000, chunk_bytes=2 * MIB)
    filler = disk.leave(3 * MIB)
    restoring = place.restore(stalled_after_s=4.0, emergency=True)
    stalled = restoring.wait_event(Stalled, lambda event: event.severity == 2)
    assert "disk is full" in stalled.cause
    assert "free space on its data directory" in stalled.remedy
    assert "COMMIT" in " ".join(stalled.evidence)
    filler.unlink()
    restoring.succeeded(120)
    place.assert_restored()
    assert not restoring.of(Retrying)
