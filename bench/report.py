"""Results into text: a table for the terminal, tables and charts for bench/README.md.

    python bench/report.py

Writes what is in bench/results/ between the markers of bench/README.md, and an SVG chart of each
race beside its JSON.  Nothing is measured here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
BEGIN, END = "<!-- results: written by report.py -->", "<!-- end of results -->"

# Heading, key of the figure, how to write it; a column without any value is left out.
_COLUMNS = (
    ("", "name", str),
    ("min s", "min_s", lambda value: f"{value:.2f}"),
    ("median s", "median_s", lambda value: f"{value:.2f}"),
    ("µs a row", "row_us", lambda value: f"{value:.2f}"),
    ("time : ours", "time_ratio", lambda value: f"{value:.2f} x"),
    ("best : best", "best_ratio", lambda value: f"{value:.2f} x"),
    ("largest gap s", "gap_s", lambda value: f"{value:.2f}"),
    ("CPU s", "cpu_s", lambda value: f"{value:.2f}"),
    ("server CPU s", "server_cpu_s", lambda value: f"{value:.2f}"),
    ("peak MB", "peak_mb", lambda value: f"{value:.0f}"),
    ("limit MB", "limit_mb", lambda value: f"{value:.0f}"),
    ("limit s", "limit_s", lambda value: f"{value:g}"),
    ("size MB", "size_bytes", lambda value: f"{value / 1e6:.1f}"),
    ("ours : size", "size_ratio", lambda value: f"{value:.2f}"),
    ("met", "met", lambda value: "yes" if value else "NO"),
    ("", "note", str),
)
_BAR, _LABEL, _LINE = 420, 300, 24  # pixels
_STYLE = "font-family:system-ui,sans-serif;font-size:13px"


def main() -> None:
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    parts = []
    for result in results:
        parts.append(as_markdown(result))
        if any("time_ratio" in row for row in result["figures"]):
            (RESULTS / f"{result['name']}.svg").write_text(as_svg(result))
            parts.append(f"![{result['title']}](results/{result['name']}.svg)\n")
    page = HERE / "README.md"
    page.write_text(placed(page.read_text(), "\n".join(parts)))
    print(f"{page}: {len(results)} results")


def placed(page: str, text: str) -> str:
    """The page with `text` between its markers.  Raises ValueError when they are missing."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError("bench/README.md has lost its markers")
    return f"{head}{begin}\n\n{text}\n{end}{tail}"


def as_text(result: dict[str, Any]) -> str:
    """A table for the terminal."""
    lines = _cells(result["figures"])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(
            cell.ljust(width) if index in (0, len(line) - 1) else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([result["title"], circumstances(result), "", *text, *_goals(result), ""])


def as_markdown(result: dict[str, Any]) -> str:
    """The same for README.md."""
    head, *lines = _cells(result["figures"])
    rows = [head, ["---" if index == 0 else "---:" for index in range(len(head))], *lines]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    goals = "".join(f"- {goal}\n" for goal in _goals(result))
    return f"### {result['title']}\n\n{circumstances(result)}.\n\n{table}\n" + (
        f"\n{goals}" if goals else ""
    )


def circumstances(result: dict[str, Any]) -> str:
    """When, on what, with which versions, under which conditions: in one line."""
    machine, said = result["machine"], result["conditions"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    log = "on" if said["binlog"] else "off"
    return (
        f"{result['date']}; {machine['cores']} cores ({machine['processor']}), "
        f"{machine['memory_gib']} GiB, load {machine['load']}; {versions}; "
        f"scale {said['scale']:g}, {said['rounds']} rounds, {said['threads']} threads, "
        f"buffer pool {said['buffer_pool']}, redo log {said['redo_log']}, binary log {log}"
    )


def as_svg(result: dict[str, Any]) -> str:
    """A bar a contender: median seconds, the range of its runs as a line."""
    rows = [row for row in result["figures"] if row.get("runs")]
    longest = max(run["wall_s"] for row in rows for run in row["runs"])
    height = _LINE * (len(rows) + 1) + 8
    width = _LABEL + _BAR + 90
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'style="{_STYLE}"><rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="4" y="16" font-weight="600">{escape(result["title"])}: '
        "seconds, median and range (less is better)</text>",
    ]
    for number, row in enumerate(rows, 1):
        parts += _bar(row, number * _LINE + 4, _BAR / longest)
    return "\n".join([*parts, "</svg>", ""])


def _bar(row: dict[str, Any], top: int, scale: float) -> list[str]:
    walls = [run["wall_s"] for run in row["runs"]]
    middle = top + 9
    first, last = _LABEL + min(walls) * scale, _LABEL + max(walls) * scale
    colour = "#1f77b4" if row["name"].startswith("tablevault") else "#b8b8b8"
    return [
        f'<text x="{_LABEL - 6}" y="{top + 14}" text-anchor="end">{escape(row["name"])}</text>',
        f'<rect x="{_LABEL}" y="{top}" width="{row["median_s"] * scale:.1f}" height="18" '
        f'fill="{colour}"/>',
        f'<line x1="{first:.1f}" x2="{last:.1f}" y1="{middle}" y2="{middle}" stroke="#333"/>',
        f'<text x="{last + 6:.1f}" y="{top + 14}">{row["median_s"]:.1f}</text>',
    ]


def _goals(result: dict[str, Any]) -> list[str]:
    return [
        f"{'met' if one['met'] else 'NOT MET'}: {one['goal']}; found {one['found']:g}"
        for one in result.get("goals", [])
    ]


def _cells(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    shown = [one for one in _COLUMNS if any(row.get(one[1]) not in (None, "") for row in rows)]
    lines = [[heading for heading, _, _ in shown]]
    lines += [
        [write(row[key]) if row.get(key) is not None else "" for _, key, write in shown]
        for row in rows
    ]
    return lines


if __name__ == "__main__":
    main()
