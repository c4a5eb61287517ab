"""What checks units of systemd, where it is installed."""

from __future__ import annotations

import shutil


def find_systemd() -> str | None:
    """The path of systemd-analyze; its absence is said at the end of every test run."""
    return shutil.which("systemd-analyze")
