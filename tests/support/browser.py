"""A real browser, where there is one: what it makes of a page, without a network."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """The path of a Chromium; its absence is said at the end of every test run."""
    return next((path for name in _PROGRAMS if (path := shutil.which(name))), None)


def look_at(browser: str, page: Path, width: int, folder: Path, *, dark: bool) -> str:
    """The tree of a page once it was laid out and its scripts ran; it must complain of nothing."""
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            f"--user-data-dir={folder}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--window-size={width},900",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints, complaints
    return done.stdout
