"""Tries of what needs a table's lock: nothing waits for one, it is said who is in the way."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tablevault.errors import LockNotGranted, StatementFailed
from tablevault.events import Retrying
from tablevault.model import TableName
from tablevault.mysql import server as servers
from tablevault.mysql import watch
from tablevault.ops.hands import NOT_NOW, Hands

FIRST_PAUSE_S = 0.5  # between tries the application's queue drains
_LONGEST_PAUSE_S = 5.0
_SHORT_PAUSE_S = 0.2
R = TypeVar("R")


def patiently(
    hands: Hands,
    tables: Sequence[TableName],
    lock_wait_s: float,
    what: str,
    call: Callable[[], R],
    *,
    then: str = "resume the run",
) -> R:
    """Try `call`, which gives up soon when a table is in use, until it is let.

    Raises LockNotGranted when it was in use for `lock_wait_s`; `then` says what to do afterwards.
    """
    began_s = time.monotonic()
    hands.tables = tables
    while True:
        try:
            return call()
        except StatementFailed as error:
            if error.errno not in NOT_NOW:
                raise
            waited_s = time.monotonic() - began_s
            blockers = hands.blockers(hands.looker)
            if waited_s > lock_wait_s:
                raise LockNotGranted(
                    f"{what}: in use for {waited_s:.0f} s{_by(blockers)}",
                    hint=f"end those sessions, then {then}",
                ) from None
            hands.narrator.doing(what, began_s, blockers)
            time.sleep(_SHORT_PAUSE_S)


def pause(
    hands: Hands, error: StatementFailed, tries: int, began: float, *, kill_blockers: bool = False
) -> None:
    """Wait before the next try; `began` is monotonic seconds, of the first."""
    blockers = hands.watchdog.seen or hands.blockers(hands.looker)
    pause_s = min(_LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(tries - 1, 4))
    pause_s *= random.uniform(0.75, 1.25)  # not in step with what comes by the clock
    hands.narrator.say(
        Retrying(what="the cut-over", cause=error.message, attempt=tries, delay_s=pause_s)
    )
    if kill_blockers:
        _kill(hands, hands.tables)
        pause_s = 0.1
    hands.narrator.doing("the tables are in use", began, blockers)
    time.sleep(pause_s)


def blocked_by(hands: Hands) -> str:
    """` by session ...; session ...`, or nothing when it cannot be told."""
    return _by(hands.watchdog.seen or hands.blockers(hands.looker))


def _by(blockers: Sequence[str]) -> str:
    return f" by {'; '.join(blockers)}" if blockers else ""


def not_granted(hands: Hands, tables: Iterable[TableName], waited_s: float) -> LockNotGranted:
    """The failure when tables stayed in use for as long as was allowed."""
    return LockNotGranted(
        f"{', '.join(map(str, tables))}: in use for {waited_s:.0f} s{blocked_by(hands)}",
        hint="end those sessions, or try again with a longer --lock-wait; "
        "nothing waits for a lock any more",
    )


def _kill(hands: Hands, tables: Iterable[TableName]) -> None:
    holders = watch.holders(hands.looker, tables, ignore=hands.ids)
    if holders is None:
        hands.narrator.hint(
            "--kill-blockers: the server does not tell who holds a table's lock; MariaDB "
            "does with the plugin: INSTALL SONAME 'metadata_lock_info'"
        )
        return
    for session in holders:
        if servers.kill(hands.looker, session.id):
            hands.narrator.hint(f"ended {session}: it held a lock on the tables")
