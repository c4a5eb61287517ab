"""What a job's hooks and its webhook were told last: of each change of state once.

Each of the two remembers by itself what has arrived.  What could not be delivered was not told,
and is told after the next run that still finds it so.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from tablevault.cli.output import write_whole
from tablevault.names import JOBS_FOLDER

FAILED = "failed"
RECOVERED = "recovered"


class Told:
    """The memory of one way of telling; one that cannot be read is none."""

    def __init__(self, state_dir: Path, job: str, way: str) -> None:
        self._path = state_dir / JOBS_FOLDER / f"{job}.{way}.json"

    def due(self, ok: bool) -> str | None:
        """What is to be told after a run that went well or not; None when it was told already."""
        last = self._last()
        if ok:
            return RECOVERED if last == FAILED else None
        return FAILED if last != FAILED else None

    def keep(self, state: str) -> None:
        """It has arrived.  Raises CannotComplete when that cannot be written down."""
        write_whole(self._path, json.dumps({"told": state}), 0o600)

    def _last(self) -> str | None:
        with suppress(OSError, ValueError):
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if isinstance(found, dict) and isinstance(found.get("told"), str):
                return str(found["told"])
        return None
