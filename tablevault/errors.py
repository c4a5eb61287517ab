"""The error tree: every failure a user may meet, with its exit code and its advice.

Failures are exceptions and carry `exit_code`; findings (differences, damage) are data and never
raised; oddities are hints, reported as events.  Exit codes are public API:

    TablevaultError            4  could not complete (root; not raised itself)
    ├── UsageError             2  the command cannot be carried out as written
    ├── CannotComplete         4  started or refused for a stated reason; nothing live was touched
    │   ├── StatementFailed    4  the server answered a statement with an error
    │   ├── LockNotGranted     4  a lock did not come within its time and was given up
    │   ├── ConsentNeeded      4  it would cost rows, and nobody has said yes to that
    │   ├── Unsupported        4  a table or value this version cannot bring back exactly
    │   └── ProofFailed        4  the server's digest or count differs from the manifest
    ├── ServerUnavailable      5  unreachable, refused, or lost
    │   ├── AccountRefused     5  the server is there and does not let this account in
    │   ├── NoRoom             5  the server is there and takes no connection for the moment
    │   └── ConnectionLost     5  an established connection ended
    ├── SnapshotUnusable       6  incomplete, damaged, or of an unknown version
    ├── LockedByRun            7  another run works on the same thing
    └── Interrupted          130  the person, or a signal, stopped the run

Exit code 1 is left to Python itself, so that a crash never reads as a finding (3).
Messages are lowercase, name the object, and end without a full stop; advice goes into `hint`.
"""

from __future__ import annotations

from collections.abc import Sequence

EXIT_OK = 0
EXIT_FINDINGS = 3


class TablevaultError(Exception):
    """Root of the tree: `message` says what happened to which object, `hint` what to do."""

    exit_code = 4

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(TablevaultError):
    """The command cannot be carried out as written."""

    exit_code = 2


class CannotComplete(TablevaultError):
    """The operation was refused, or ended before its goal; the live table is whole."""


class StatementFailed(CannotComplete):
    """The server answered a statement with an error packet.

    `errno` is the server's error number; `transient` says that the same statement may
    succeed when it is tried again (deadlock, lock wait timeout).
    """

    def __init__(
        self, message: str, *, errno: int, transient: bool = False, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.errno = errno
        self.transient = transient


class LockNotGranted(CannotComplete):
    """A lock did not come within its time; nothing is left queueing for it."""


class ConsentNeeded(CannotComplete):
    """It can be done, but rows would go out of sight or lose parents: somebody must say so."""


class Unsupported(CannotComplete):
    """A table, column or option that this version cannot bring back exactly."""

    @classmethod
    def of_all(cls, found: Sequence[Unsupported]) -> Unsupported:
        """One error that names everything that several ones name; `found` is not empty."""
        hints = dict.fromkeys(one.hint for one in found if one.hint)
        return cls("; ".join(one.message for one in found), hint="; or ".join(hints) or None)


class ProofFailed(CannotComplete):
    """What the server holds is not what the snapshot recorded."""


class ServerUnavailable(TablevaultError):
    """The server cannot be reached, or refused the connection."""

    exit_code = 5
    answered = False  # whether the server was there to say so


class AccountRefused(ServerUnavailable):
    """The server answers and does not let this account in: waiting would not change its mind."""

    answered = True


class NoRoom(ServerUnavailable):
    """The server answers and takes no connection for the moment."""

    answered = True


class ConnectionLost(ServerUnavailable):
    """An established connection ended while it was in use."""


class SnapshotUnusable(TablevaultError):
    """A snapshot that is incomplete, damaged, or of a version or feature unknown here."""

    exit_code = 6


class LockedByRun(TablevaultError):
    """Another run works on the same vault, snapshot or table."""

    exit_code = 7


class Interrupted(TablevaultError):
    """Stopped by the person or by a signal."""

    exit_code = 130
