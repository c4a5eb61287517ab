"""The checkpoint that must lie between the discarding of a staging table and what it takes in.

MariaDB makes none of its own accord while it is idle, so it is made to flush; what is set for it
is journalled first, and set back by whoever gets to it: this run, the next one, or a cleanup.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tablevault.errors import CannotComplete
from tablevault.mysql import checkpoint
from tablevault.mysql.connect import Connection

_WITHIN_S = 600.0  # a full buffer pool on a slow disk takes its time
_LOOK_EVERY_S = 0.1

Note = Callable[..., Any]


class Checkpoint:
    """A checkpoint that one staging table waits for, made to come from now on."""

    def __init__(
        self, connection: Connection, note: Note, usual: float | None, behind: int
    ) -> None:
        """It is to pass `behind`, a `redo_position`; `usual` is what the setting is set back to.

        Without `usual` there is nothing to be set: MySQL makes the checkpoint itself.
        """
        self._connection = connection
        self._note = note
        self._usual = usual
        self._behind = behind
        self._hurried = bool(usual) and not self.made()
        if self._hurried:
            note("hurrying", usual=usual)
            checkpoint.hurry(connection, 0)

    def wait(self, heartbeat: Callable[[], None]) -> None:
        """Until it is made; the setting is as it was on return, also on a bad one.

        `heartbeat` may raise.  Raises CannotComplete when it does not come.
        """
        if self._usual is None:
            return
        deadline = time.monotonic() + _WITHIN_S
        try:
            while not self.made():
                heartbeat()
                if time.monotonic() > deadline:
                    raise CannotComplete(
                        f"the server made no checkpoint within {_WITHIN_S:.0f} s",
                        hint="see what fills its buffer pool; innodb_io_capacity decides how fast "
                        "it is flushed",
                    )
                if self._hurried:  # another table may have set it back meanwhile
                    checkpoint.hurry(self._connection, 0)
                time.sleep(_LOOK_EVERY_S)
        finally:
            self.calm()

    def made(self) -> bool:
        """Whether recovery would no longer see what was before this began."""
        return _position(self._connection).checkpoint >= self._behind

    def calm(self) -> None:
        """Set back what was set."""
        if self._hurried and self._usual is not None and not self._connection.closed:
            checkpoint.hurry(self._connection, self._usual)
            self._note("hurried")
            self._hurried = False


def redo_position(connection: Connection) -> int:
    """What the redo log holds now.  Raises CannotComplete where the server does not tell."""
    return _position(connection).current


def _position(connection: Connection) -> checkpoint.LogPosition:
    found = checkpoint.log_position(connection)
    if found is None:
        raise CannotComplete("the server does not tell where its redo log stands")
    return found
