"""One invocation of the program: its global options, and what is known of its run so far."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tablevault.cli.config import Profile, load_profile

if TYPE_CHECKING:
    from tablevault.events import Event


@dataclass
class Invocation:
    """The global options, as collected from before and after the command's name."""

    config: str | None = None
    profile: str | None = None
    json: bool = False
    events: str | None = None
    quiet: bool = False
    verbose: int = 0
    # what the events of the run told; a failure is reported with it
    run: str | None = None
    snapshot: str | None = None
    complete: bool = False  # the run has ended well, and no other has begun
    section_source: Path | None = None  # the file of the last section that was referred to
    _settings: Profile | None = None

    @property
    def settings(self) -> Profile:
        """The profile of the configuration that applies; read once.  Raises UsageError."""
        if self._settings is None:
            self._settings = load_profile(self.config, self.profile)
        return self._settings

    @property
    def found_here(self) -> str | None:
        """The configuration that applies without having been named, when it is this folder's."""
        source = self.settings.source or self.section_source
        return str(source) if source and not self.config and not os.path.isabs(source) else None

    @property
    def interactive(self) -> bool:
        """Whether a question may be asked: there is somebody to read and to answer it."""
        return not self.json and not self.quiet and _is_tty(sys.stdin) and _is_tty(sys.stderr)

    def note(self, event: Event) -> None:
        """Remember the ids an event carries, and how the run ends (an observer)."""
        self.run = event.run or self.run
        # by attribute: the event classes are not loaded before a run begins
        self.snapshot = getattr(event, "snapshot", None) or self.snapshot
        if hasattr(event, "operation"):
            self.complete = False
        if getattr(event, "status", None) in ("ok", "findings"):
            self.complete = True


def invocation(ctx: click.Context) -> Invocation:
    """The invocation a context belongs to."""
    return ctx.find_root().ensure_object(Invocation)


def _is_tty(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    try:
        return bool(isatty and isatty())
    except ValueError:  # closed
        return False
