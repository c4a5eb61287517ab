"""Connections whose bytes have stopped although both ends live: told by what the server waits for.

A statement may rightly be silent for an hour.  But when the server waits for this side, or does not
know of the statement that this side waits for, something between the two has swallowed bytes, and
TCP tells nobody as long as that something answers.  Such a connection is given up after half a
minute and its step tried again; where the server answers on no connection at all, after ten
minutes.  Pure: figures, a clock and the lookout's view go in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tablevault.ops.lookout import WAITS_FOR_US, View

SUSPECT_AFTER_S = 3.0  # then the server is asked
SAY_AFTER_S = 5.0  # longer than a view of the server's process list may be old
GIVE_UP_AFTER_S = 30.0
UNANSWERED_AFTER_S = 600.0  # as long as the server itself waits for a silent client


@dataclass(frozen=True)
class Flow:
    """A statement that a worker waits for: since when (monotonic), and bytes sent for it so far."""

    connection: int
    what: str  # the task, in a few words
    since_s: float
    sent_bytes: int


@dataclass(frozen=True)
class Silence:
    """A connection on which nothing has passed for `seconds`; `over` when it is to be given up."""

    connection: int
    what: str
    cause: str
    seconds: float
    over: bool


class Wires:
    """Watches the statements at hand; `suspects` says that the server must be asked about them."""

    def __init__(self) -> None:
        self.suspects = False
        self._still: dict[int, tuple[Flow, float]] = {}  # and since when it has not moved
        self._seen: dict[int, float] = {}  # since when the server waits for us, or is not there

    def observe(self, now_s: float, flows: Sequence[Flow], view: View) -> list[Silence]:
        """The connections whose silence is no work of the server, as of `now_s`."""
        self._still = {
            flow.connection: known
            if (known := self._still.get(flow.connection)) and known[0] == flow
            else (flow, now_s)
            for flow in flows
        }
        self._seen = {number: at for number, at in self._seen.items() if number in self._still}
        self.suspects = False
        found = []
        for number, (flow, since_s) in self._still.items():
            seconds = now_s - since_s
            state = view.states.get(number, "")
            if seconds < SUSPECT_AFTER_S:
                self._seen.pop(number, None)
                continue
            self.suspects = True
            if view.away:
                bound_s, cause = UNANSWERED_AFTER_S, "the server answers on no connection"
                seen_s = seconds
            elif state.lower() in WAITS_FOR_US:
                bound_s, cause = GIVE_UP_AFTER_S, f"the server waits for this side ({state})"
                seen_s = now_s - self._seen.setdefault(number, now_s)
            else:
                self._seen.pop(number, None)
                continue
            if seconds >= SAY_AFTER_S:
                over = seen_s >= bound_s
                found.append(Silence(number, flow.what, cause, seconds, over))
        return found
