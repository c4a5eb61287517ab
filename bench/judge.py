"""Runs into figures, figures into verdicts: minimum, median, ratios to ours, goals met or not."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from typing import Any

from harness import OURS, Contender


def figures(contenders: Sequence[Contender]) -> list[dict[str, Any]]:
    """A row a contender: minimum and median of its runs, ratios to ours (above 1: ours wins)."""
    first = next((one for one in contenders if one.name == OURS and one.runs), None)
    rows = []
    for one in contenders:
        if not one.runs:
            continue
        walls = [run.wall_s for run in one.runs]
        row: dict[str, Any] = {"name": one.name, "note": one.note}
        row["min_s"] = round(min(walls), 3)
        row["median_s"] = round(statistics.median(walls), 3)
        row["cpu_s"] = round(statistics.median(run.cpu_s for run in one.runs), 2)
        row["server_cpu_s"] = round(statistics.median(run.server_cpu_s for run in one.runs), 2)
        row["peak_mb"] = round(max(run.peak_mb for run in one.runs))
        row["size_bytes"] = one.size_bytes
        if first is not None and one.rival:
            row["time_ratio"] = round(row["median_s"] / _median(first), 2)
            row["best_ratio"] = round(row["min_s"] / min(run.wall_s for run in first.runs), 2)
            if first.size_bytes and one.size_bytes:
                row["size_ratio"] = round(first.size_bytes / one.size_bytes, 3)
        row["runs"] = [asdict(run) for run in one.runs]
        rows.append(row)
    return rows


@dataclass(frozen=True)
class Goal:
    """What a figure has to be, at least or at most, for every rival that the pattern names."""

    rival: str
    key: str  # time_ratio | size_ratio
    least: float | None = None
    most: float | None = None


def judged(rows: Sequence[dict[str, Any]], goals: Sequence[Goal]) -> list[dict[str, Any]]:
    """Each goal beside what was found; one without its rival is missing."""
    found = []
    for goal in goals:
        for row in rows:
            value = row.get(goal.key)
            if value is None or not fnmatch(row["name"], goal.rival):
                continue
            bound = f"at least {goal.least:g}" if goal.least else f"at most {goal.most:g}"
            met = value >= goal.least if goal.least else value <= (goal.most or 0)
            what = {"time_ratio": "time : ours", "size_ratio": "ours : size"}[goal.key]
            name = f"{row['name']}: {what} {bound}"
            found.append({"goal": name, "found": value, "met": met})
    return found


def _median(one: Contender) -> float:
    return statistics.median(run.wall_s for run in one.runs)
