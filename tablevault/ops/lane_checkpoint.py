"""The checkpoint that must lie between the discarding of a staging table and what it takes in.

MariaDB makes none of its own accord while it is idle, so it is told to; MySQL makes it itself.
"""

from __future__ import annotations

from tablevault.errors import CannotComplete
from tablevault.mysql import checkpoint
from tablevault.mysql.connect import Connection


def redo_position(connection: Connection) -> int:
    """What the redo log holds now, in bytes.  Raises CannotComplete where the server hides it."""
    return _position(connection).current


def passed(connection: Connection, behind: int) -> bool:
    """Whether recovery would no longer see what was before `behind`, a `redo_position`."""
    return _position(connection).checkpoint >= behind


def bring_forward(connection: Connection, behind: int) -> bool:
    """Let the checkpoint pass `behind`; whether the server had to be told to.

    Raises CannotComplete when it did not come.
    """
    if connection.server.family == "mysql" or passed(connection, behind):
        return False
    checkpoint.make(connection)
    if not passed(connection, behind):
        raise CannotComplete("the server made no checkpoint when it was told to")
    return True


def _position(connection: Connection) -> checkpoint.LogPosition:
    found = checkpoint.log_position(connection)
    if found is None:
        raise CannotComplete("the server does not tell where its redo log stands")
    return found
