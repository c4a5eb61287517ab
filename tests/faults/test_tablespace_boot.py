"""A copy of a live table's file beside it, and the server is killed: does it start again?

What a restore by IMPORT TABLESPACE must live with, held against real servers.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tablevault.demo.server import PrivateServer
from tablevault.errors import CannotComplete
from tablevault.vault.pagezero import read_page_zero, readdress
from tests.support.facts import numbers

COLUMNS = "(id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(200), KEY (v))"


@dataclass
class Scene:
    """A live table, a copy of its file outside the data directory, a discarded staging table."""

    server: PrivateServer
    checksum: str
    staging_id: int  # what a placed copy is readdressed to; 0: it stays as it is

    @property
    def copy(self) -> Path:
        return self.server.directory / "copy.ibd"

    @property
    def placed(self) -> Path:
        return self.server.data_directory / "shop" / "staging.ibd"

    def place(self) -> None:
        """Put copy and .cfg in place as a restore does: whole, synced, by rename at last."""
        for suffix in (".cfg", ".ibd"):
            target = self.placed.with_suffix(suffix)
            waiting = target.with_suffix(f"{suffix}.waiting")
            shutil.copy(self.copy.with_suffix(suffix), waiting)
            owner = os.stat(target.parent)
            os.chown(waiting, owner.st_uid, owner.st_gid)
            descriptor = os.open(waiting, os.O_RDWR)
            if suffix == ".ibd" and self.staging_id:
                readdress(descriptor, self.staging_id)
            os.fsync(descriptor)
            os.close(descriptor)
            waiting.rename(target)


@pytest.fixture
def scene(started: Callable[..., PrivateServer]) -> Scene:
    server = started(binlog=False)
    server.sql(
        f"""CREATE DATABASE shop; USE shop; CREATE TABLE live {COLUMNS};
            INSERT INTO live (v) SELECT CONCAT(seq, REPEAT('x', seq % 90)) FROM {numbers(5000)};"""
    )
    folder = server.data_directory / "shop"
    connection = _connection(server)
    cursor = connection.cursor()
    cursor.execute("FLUSH TABLES live FOR EXPORT")
    shutil.copy(folder / "live.ibd", server.directory / "copy.ibd")
    shutil.copy(folder / "live.cfg", server.directory / "copy.cfg")
    cursor.execute("UNLOCK TABLES")
    connection.close()
    return Scene(server, _checksum(server, "live"), _discarded_staging(server))


def _discarded_staging(server: PrivateServer) -> int:
    """Make the staging table and discard its rows; returns the id of its tablespace."""
    connection = _connection(server)
    cursor = connection.cursor()
    cursor.execute(f"CREATE TABLE staging {COLUMNS}")
    cursor.execute("FLUSH TABLES staging FOR EXPORT")  # else its file may hold nothing yet
    descriptor = os.open(server.data_directory / "shop" / "staging.ibd", os.O_RDONLY)
    staging_id = read_page_zero(descriptor).space_id
    os.close(descriptor)
    cursor.execute("UNLOCK TABLES")
    cursor.execute("ALTER TABLE staging DISCARD TABLESPACE")
    connection.close()
    return staging_id


def _connection(server: PrivateServer):  # type: ignore[no-untyped-def]  # the driver has no types
    import mysql.connector

    return mysql.connector.connect(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        use_pure=True,
        autocommit=True,
        database="shop",
    )


def _checksum(server: PrivateServer, table: str) -> str:
    return server.sql(f"CHECKSUM TABLE shop.{table}").split()[-1]


def test_a_plain_copy_keeps_it_from_starting_until_it_is_removed(scene: Scene) -> None:
    scene.staging_id = 0  # the copy stays as it is
    scene.place()
    scene.server.kill()
    with pytest.raises(CannotComplete, match="died"):
        scene.server.start()
    scene.placed.unlink()
    scene.server.start()
    assert _checksum(scene.server, "live") == scene.checksum


def test_a_readdressed_copy_lets_it_start_and_can_be_placed_anew(scene: Scene) -> None:
    scene.place()
    scene.server.kill()
    scene.server.start()
    assert _checksum(scene.server, "live") == scene.checksum
    # MariaDB's recovery writes into the first copy: it is never gone on with
    scene.server.sql("DROP TABLE shop.staging")
    for leftover in (scene.placed, scene.placed.with_suffix(".cfg")):  # MySQL leaves both
        leftover.unlink(missing_ok=True)
    scene.staging_id = _discarded_staging(scene.server)
    scene.place()
    assert _import_warnings(scene.server) == 0
    assert _checksum(scene.server, "staging") == scene.checksum


def test_a_readdressed_copy_is_imported_without_a_warning(scene: Scene) -> None:
    scene.place()
    assert _import_warnings(scene.server) == 0
    assert _checksum(scene.server, "staging") == scene.checksum
    scene.server.kill()
    scene.server.start()
    assert _checksum(scene.server, "staging") == scene.checksum
    assert _checksum(scene.server, "live") == scene.checksum


def _import_warnings(server: PrivateServer) -> int:
    connection = _connection(server)
    cursor = connection.cursor()
    cursor.execute("ALTER TABLE staging IMPORT TABLESPACE")
    warnings = int(cursor.warning_count)
    connection.close()
    return warnings
