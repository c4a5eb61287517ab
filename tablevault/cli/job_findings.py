"""What the steps of a job found, from the JSON objects that they gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def findings_of(result: Mapping[str, Any] | None) -> list[str]:
    """One line for each damage or difference that made a step end with findings.

    What `doctor` only notes is none; of a `diff` each table that differs is one.
    """
    if not result or result.get("status", "findings") != "findings":
        return []
    found = [_line(one) for one in _objects(result, "findings") if one.get("fatal_for") != []]
    found += [
        f"table {table.get('table')}: {table['outcome']}"
        for table in _objects(result, "tables")
        if table.get("outcome", "equal") != "equal"
    ]
    for snapshot in _objects(result, "snapshots"):  # of `verify --all`
        found += [f"snapshot {snapshot.get('snapshot')}: {one}" for one in findings_of(snapshot)]
    return found


def _objects(result: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    values = result.get(key)
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _line(finding: Mapping[str, Any]) -> str:
    return str(finding.get("message") or finding.get("kind") or "a finding")
