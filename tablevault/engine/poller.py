"""A question asked again and again in a thread of its own, whose answer is never waited for.

The monitor of a long operation must be unable to hang or fail it: the coordinator reads `latest`
and goes on.  An asker that raises is asked no more and its error is kept as `failure`, whatever it
is: not even a bug in the monitor may reach the operation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

A = TypeVar("A")


class Poller(Generic[A]):
    """Call `ask` every `every_s` seconds from `start` to `stop`; `close` frees what it uses."""

    def __init__(
        self, ask: Callable[[], A], *, every_s: float, close: Callable[[], None] = lambda: None
    ) -> None:
        self._ask = ask
        self._every_s = every_s
        self._close = close
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._body, daemon=True)
        self.latest: A | None = None
        self.failure: Exception | None = None

    def start(self) -> Poller[A]:
        """Begin to ask; the first answer comes when it comes."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ask no more; does not wait for an answer that is on its way."""
        self._done.set()

    def __enter__(self) -> Poller[A]:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _body(self) -> None:
        try:
            while not self._done.is_set():
                self.latest = self._ask()
                self._done.wait(self._every_s)
        except Exception as error:
            self.failure = error
        finally:
            self._close()
