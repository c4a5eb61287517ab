"""What a lost connection left is ended; what only has its number is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tablevault.mysql.connect import Connection, connect
from tablevault.ops.remains import end, end_lost
from tablevault.ops.runs import RunState
from tests.servers import Server


@pytest.fixture
def pair(server: Server) -> Iterator[tuple[Connection, Connection]]:
    """Two connections, the earlier one first."""
    with connect(server.options()) as early, connect(server.options()) as late:
        yield early, late


def lives(server: Server, connection: Connection) -> bool:
    asked = f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {connection.id}"
    return server.value(asked) == "1"


def test_a_lost_connection_is_ended(server: Server, pair: tuple[Connection, Connection]) -> None:
    lost, fresh = pair
    end_lost(fresh, lost)
    assert not lives(server, lost) and lives(server, fresh)


def test_a_number_that_the_server_gave_anew_is_left_alone(
    server: Server, pair: tuple[Connection, Connection]
) -> None:
    """After a restart within the tolerance ids begin again: the newer connection's is smaller."""
    fresh, lost = pair
    end_lost(fresh, lost)
    end_lost(fresh, fresh)
    assert lives(server, lost) and lives(server, fresh)


def test_what_a_run_left_is_ended_and_later_numbers_are_not(
    server: Server, pair: tuple[Connection, Connection]
) -> None:
    left, other = pair
    to_come = range(other.id + 1, other.id + 100)  # of the connection that ends, and of strangers
    state = RunState(
        run="x",
        connections=[left.id, *to_come],
        server_started=left.server.started_at,
        server_uuid=left.server.uuid,
    )
    end(server.options(), state)
    assert not lives(server, left) and lives(server, other)
