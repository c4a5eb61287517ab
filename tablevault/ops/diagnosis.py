"""Why nothing moves: from what the lookout saw and what the workers are doing, to a cause.

Pure, so that each cause of a freeze has a test.  The order of the rules is the order of certainty:
a full disk or a lock is named before a busy server, and our own fault only when nobody else works.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tablevault.mysql.connect import Connection
from tablevault.ops.lookout import LOCK_WAITS, WAITS_FOR_US, View

_REDO_FULL = 0.88
_DIRTY_FULL = 0.88
_CERTAIN_AFTER_S = 3.0  # the server's states may be older than a statement that is younger


@dataclass(frozen=True)
class Doing:
    """What one worker is doing, as seen from here."""

    worker: int
    connection: int
    what: str  # the task, in a few words
    statement: str
    seconds: float  # of that statement; 0 while none runs
    pausing: str = ""  # the error after which it waits to try again

    @classmethod
    def on(cls, connection: Connection, worker: int, what: str, pausing: str = "") -> Doing:
        """What `worker` is at, with the statement that runs on its connection now."""
        since_s = connection.busy_since
        return cls(
            worker,
            connection.id,
            what,
            connection.statement if since_s is not None else "",
            time.monotonic() - since_s if since_s is not None else 0.0,
            pausing,
        )

    def __str__(self) -> str:
        if self.pausing:
            return f"worker {self.worker}: {self.what}; waits to try again after: {self.pausing}"
        running = f"{self.seconds:.0f} s in {self.statement}" if self.statement else "no statement"
        return f"worker {self.worker}, connection {self.connection}: {self.what}; {running}"


@dataclass(frozen=True)
class Diagnosis:
    """The probable cause of a stall, its remedy, and what it was concluded from."""

    cause: str
    remedy: str
    evidence: tuple[str, ...] = ()
    own_fault: bool = False


def diagnose(view: View, before: View, doing: Sequence[Doing]) -> Diagnosis:
    """What most probably keeps the workers from going on.

    `before` is a look from when the stall began: whether the server works since tells a slow
    step from a dead one.
    """
    working = view.pressure.work > before.pressure.work
    states = {number: state for number, state in view.states.items() if state}
    evidence = (
        *(str(one) for one in doing),
        *(f"connection {number}: {state}" for number, state in states.items()),
        *(f"may be in the way: {line}" for line in view.blockers),
    )
    cause, remedy, own_fault = _cause(view, states, doing, working)
    if view.unseen:
        evidence += (f"not seen: {view.unseen}",)
    return Diagnosis(cause, remedy, evidence, own_fault)


def _cause(
    view: View, states: dict[int, str], doing: Sequence[Doing], working: bool
) -> tuple[str, str, bool]:
    text = " ".join(states.values()).lower()
    if doing and all(one.pausing for one in doing):
        return (
            f"every step waits to be tried again after an error: {doing[0].pausing}",
            "it goes on when the cause is gone, and ends by itself when it stays",
            False,
        )
    named = _held_up(text)
    if named is not None:
        return named
    if view.unseen and not states:
        return (
            f"the server cannot be asked: {view.unseen}",
            "look whether it runs and can be reached; the run goes on when it answers",
            False,
        )
    stopped = _stopped(states, doing)
    if stopped is not None:
        return (
            f"no byte passes on connection {stopped.connection}: the server waits for this side "
            f"({states[stopped.connection]}), and this side for the server",
            "look at the network between, at proxies and firewalls, and at the vault's disk; the "
            "connection is given up after half a minute and its step tried again",
            False,
        )
    pressed = _pressed(view)
    if pressed is not None:
        return pressed
    if working:
        busy = next((one for one in doing if one.statement), None)
        what = busy.what if busy else "its work"
        return f"the server is busy with {what}", "its counters move: wait", False
    if states and all(state.lower() in ("sleep", "") for state in states.values()):
        return (
            "all our connections are idle on the server although work is left: our own fault",
            "the Python stacks are in the run's folder; stop it and go on with --resume",
            True,
        )
    return (
        "the server has a statement of ours and none of its counters moves",
        "look whether its disk is full (its error log says so); the statement can be ended with "
        "KILL",
        False,
    )


def _held_up(text: str) -> tuple[str, str, bool] | None:
    """What the server itself says that our statements wait for."""
    if "row lock" in text:
        return (
            "another transaction holds rows that a statement of ours needs",
            "end the session that is named, or wait for its commit",
            False,
        )
    if any(mark in text for mark in LOCK_WAITS):
        return (
            "a session holds a lock that a statement of ours waits for",
            "end the session that is named, or wait for it",
            False,
        )
    if "disk full" in text or "no space" in text or "free space" in text:
        return "the server's disk is full", "free space on its data directory and tmpdir", False
    return None


def _stopped(states: dict[int, str], doing: Sequence[Doing]) -> Doing | None:
    """A worker that waits for a statement which the server does not have, or has no bytes for."""
    for one in doing:
        waits = one.statement and one.seconds >= _CERTAIN_AFTER_S
        if waits and states.get(one.connection, "").lower() in WAITS_FOR_US:
            return one
    return None


def _pressed(view: View) -> tuple[str, str, bool] | None:
    """What the server must write before it takes more."""
    if view.pressure.redo is not None and view.pressure.redo > _REDO_FULL:
        return (
            f"the redo log is full ({view.pressure.redo:.0%}): the server flushes pages before it "
            "takes more",
            "it goes on by itself; a larger redo log or a faster disk shortens it",
            False,
        )
    if view.pressure.dirty is not None and view.pressure.dirty > _DIRTY_FULL:
        return (
            f"the buffer pool is full of unflushed pages ({view.pressure.dirty:.0%})",
            "it goes on by itself; innodb_io_capacity and the disk decide how fast",
            False,
        )
    return None
