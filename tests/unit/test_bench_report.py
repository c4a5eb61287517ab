"""The page of results is generated: what is measured comes out of it unaltered."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))  # its files are scripts, which import one another by name

import report  # noqa: E402
from harness import OURS, Contender, Measure  # noqa: E402
from judge import Goal, figures, judged  # noqa: E402
from rivals import _cut  # noqa: E402


def _contender(name: str, walls: list[float], size: int) -> Contender:
    runs = [Measure(wall, 1.0, 2.0, 30.0) for wall in walls]
    return Contender(name, list, runs=runs, size_bytes=size)


def _result() -> dict[str, Any]:
    contenders = [_contender(OURS, [2.0, 1.0, 9.0], 50), _contender("a < b", [3.0, 5.0, 4.0], 100)]
    return {
        "name": "snapshot-t",
        "title": "Snapshot of t",
        "date": "2026-01-01",
        "machine": {"cores": 2, "processor": "p", "memory_gib": 8, "load": 0.1},
        "versions": {"server": "10"},
        "conditions": {
            "scale": 1.0,
            "rounds": 3,
            "threads": 2,
            "buffer_pool": "2G",
            "redo_log": "512M",
            "binlog": False,
        },
        "figures": figures(contenders),
    }


def test_ratios_are_to_ours_and_above_one_where_ours_is_faster_or_smaller_below() -> None:
    mine, other = _result()["figures"]
    assert (mine["min_s"], mine["median_s"], mine["time_ratio"]) == (1.0, 2.0, 1.0)
    assert (other["time_ratio"], other["best_ratio"], other["size_ratio"]) == (2.0, 3.0, 0.5)


def test_goals_are_judged_by_the_figures() -> None:
    goals = [Goal("a < ?", "time_ratio", least=2.1), Goal("a < ?", "size_ratio", most=0.5)]
    found = judged(_result()["figures"], [*goals, Goal("absent", "time_ratio", least=1.0)])
    assert [(one["found"], one["met"]) for one in found] == [(2.0, False), (0.5, True)]
    text = report.as_text(_result() | {"goals": found})
    assert "NOT MET: a < b: time : ours at least 2.1; found 2" in text


def test_the_same_figures_stand_in_text_and_markdown() -> None:
    for text in (report.as_text(_result()), report.as_markdown(_result())):
        assert all(cell in text for cell in ("2.00 x", "3.00 x", "Snapshot of t", "a < b"))


def test_the_chart_is_xml_with_a_bar_for_each() -> None:
    root = ElementTree.fromstring(report.as_svg(_result()))
    assert sum(one.get("height") == "18" for one in root) == 2


def test_only_what_is_between_the_markers_changes() -> None:
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    placed = report.placed(page, "new")
    assert placed.startswith("before\n") and placed.endswith("\nafter\n")
    assert "new" in placed and "old" not in placed
    with pytest.raises(ValueError, match="markers"):
        report.placed("no markers", "new")


def test_the_page_shows_the_results_that_are_kept() -> None:
    page = (BENCH / "README.md").read_text()
    for path in (BENCH / "results").glob("*.json"):
        assert report.as_markdown(json.loads(path.read_text())) in page, path.name


def test_text_is_cut_at_row_ends_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rivals._PIECE_BYTES", 40)
    rows = [f"{number}\tline one\\\nline two\n" for number in range(50)]
    whole = tmp_path / "whole"
    whole.write_text("".join(rows))
    _cut(whole, tmp_path / "t")
    pieces = [path.read_text() for path in sorted(tmp_path.iterdir())]
    assert len(pieces) > 10
    assert "".join(pieces) == "".join(rows)
    assert all(piece.endswith("line two\n") for piece in pieces)


@pytest.mark.parametrize("script", sorted(BENCH.glob("*_*.py")), ids=lambda path: path.name)
def test_each_script_opens_with_its_question_and_its_command(script: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, check=True
    )
    question, _, rest = done.stdout.partition("?")
    assert question and f"python bench/{script.name}" in rest
