"""The demo's titles are bold on a terminal that can and may, and underlined elsewhere."""

from __future__ import annotations

import io

import pytest

from tablevault.demo.screen import Screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "term", "no_colour", "bold"),
    [
        (Terminal(), "xterm", None, True),
        (Terminal(), "xterm", "", True),  # set to nothing is not set
        (Terminal(), "xterm", "1", False),
        (Terminal(), "dumb", None, False),
        (Terminal(), None, None, False),
        (io.StringIO(), "xterm", None, False),
    ],
)
def test_bold_only_where_it_is_shown_and_wanted(
    monkeypatch: pytest.MonkeyPatch,
    out: io.StringIO,
    term: str | None,
    no_colour: str | None,
    bold: bool,
) -> None:
    for name, value in (("TERM", term), ("NO_COLOR", no_colour)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    Screen(out).title("Before")
    assert ("\x1b[1m" in out.getvalue()) is bold
    assert ("------" in out.getvalue()) is not bold
