"""What a job found is what made its steps end with findings, whichever steps they are."""

from __future__ import annotations

from typing import Any

import pytest

from tablevault.cli.job_findings import findings_of

DAMAGED = {"kind": "damaged", "message": "chunk 0 is damaged"}
NOTE = {"severity": "note", "message": "no key", "fatal_for": []}
FATAL = {"severity": "fatal", "message": "no privilege", "fatal_for": ["restore"]}


@pytest.mark.parametrize(
    ("result", "found"),
    [
        (None, []),
        ({"status": "failed", "error": "no"}, []),
        ({"status": "ok", "findings": [NOTE]}, []),  # a doctor that only notes
        ({"status": "findings", "findings": [NOTE, FATAL]}, ["no privilege"]),
        (
            {
                "status": "findings",
                "findings": [{"kind": "journal"}],
                "snapshots": [{"snapshot": "S1", "findings": [DAMAGED]}, {"findings": []}],
            },
            ["journal", "snapshot S1: chunk 0 is damaged"],
        ),
        (
            {
                "status": "findings",
                "tables": [
                    {"table": "shop.a", "outcome": "equal"},
                    {"table": "shop.b", "outcome": "differs"},
                    {"table": "shop.c", "outcome": "gone"},
                ],
            },
            ["table shop.b: differs", "table shop.c: gone"],
        ),
    ],
)
def test_findings_of_a_step(result: dict[str, Any] | None, found: list[str]) -> None:
    assert findings_of(result) == found
