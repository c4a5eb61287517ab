"""The alert rules and the dashboard that come along, held to the metrics that a job writes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tablevault.cli.job_run import JobEnd, StepEnd
from tablevault.cli.main import main
from tablevault.cli.metrics import metrics_text
from tablevault.vault.store import open_store
from tests.servers import ROOT
from tests.unit.test_retention import drilled
from tests.unit.vaults import write_snapshot

CONTRIB = ROOT / "tablevault/contrib"
RULES = CONTRIB / "prometheus-alerts.yml"
DASHBOARD = CONTRIB / "grafana-dashboard.json"
# what a scrape adds, and what it makes of a label of ours that it has itself
OF_A_SCRAPE = {"instance", "exported_job"}

Known = dict[str, set[str]]


@pytest.fixture
def known(vault: Path) -> Known:
    """Each metric that is written when there is something of everything, and its labels."""
    store = open_store(str(vault), create=True)
    snapshot = write_snapshot(store).snapshot
    end = JobEnd("nightly", 1.0, 2.0, 0, (StepEnd("verify", 0, 1.0),), last_success=1.0)
    text = metrics_text(end, [snapshot], [drilled(snapshot, "shop.orders")], store.uri, 1)
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def used(expression: str) -> tuple[set[str], set[str]]:
    """The metrics of an expression and the labels that it reads.  Raises ValueError."""
    metrics, labels = set(), set()
    for node in nodes(promql_parser.parse(expression)):
        if isinstance(node, promql_parser.VectorSelector):
            metrics.add(node.name)
            labels |= {matcher.name for matcher in node.matchers.matchers}
        if isinstance(node, promql_parser.BinaryExpr) and node.modifier:
            matching = node.modifier.matching
            labels |= set(matching.labels) if matching else set()
    return metrics, labels


def nodes(node: Any) -> Iterator[Any]:
    yield node
    for name in ("lhs", "rhs", "expr"):
        if (part := getattr(node, name, None)) is not None:
            yield from nodes(part)
    for part in getattr(node, "args", ()):
        yield from nodes(part)


def hold(expression: str, shown: set[str], known: Known) -> set[str]:
    """Hold an expression and the labels shown with its values to what is written; its metrics."""
    metrics, labels = used(expression)
    assert metrics, expression
    assert metrics <= known.keys(), expression
    for metric in metrics:
        assert labels | shown <= known[metric] | OF_A_SCRAPE, (metric, labels | shown)
    return metrics


def test_the_reading_of_an_expression_sees_metrics_and_labels_everywhere() -> None:
    metrics, labels = used(
        'time() - f{x="1"} > 2 or (sort_desc(g) unless on(y, z) label_replace(h, "a", "", "b", ""))'
    )
    assert (metrics, labels) == ({"f", "g", "h"}, {"x", "y", "z"})
    with pytest.raises(ValueError):
        used("f >")


def test_the_rules_are_about_what_is_written(known: Known) -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    metrics = set()
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("warning", "critical")
        if "for" in rule:
            promql_parser.parse_duration(rule["for"])
        text = " ".join(rule["annotations"].values())
        shown = set(re.findall(r"\$labels\.(\w+)", text))
        metrics |= hold(rule["expr"], shown, known)
    assert {
        "tablevault_job_exit_code",
        "tablevault_job_last_success_timestamp_seconds",
        "tablevault_snapshot_timestamp_seconds",
        "tablevault_drill_timestamp_seconds",
    } <= metrics


def test_the_dashboard_shows_all_that_is_written(known: Known) -> None:
    metrics = set()
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert shown, panel["title"]
            metrics |= hold(target["expr"], shown, known)
            assert target["datasource"]["uid"] == "${datasource}"
    # of when it last ran, the last success tells more
    assert known.keys() - metrics == {"tablevault_job_last_run_timestamp_seconds"}


def test_the_dashboard_asks_only_for_variables_that_it_has(known: Known) -> None:
    variables = {one["name"]: one for one in dashboard()["templating"]["list"]}
    text = json.dumps(dashboard()["panels"])
    named = set(re.findall(r"\$\{?([A-Za-z_]\w*)", text))
    assert named == variables.keys()
    asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variables["vault"]["query"]["query"])
    assert asked is not None
    assert asked[2] in known[asked[1]]


def test_no_panel_lies_upon_another() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_command_prints_each_file_and_lists_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["contrib"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert sorted(listed) == sorted(path.name for path in CONTRIB.iterdir())
    for name in listed:
        assert main(["contrib", name]) == 0
        assert capsys.readouterr().out == (CONTRIB / name).read_text(encoding="utf-8")
    assert main(["contrib", "prometheus-alerts.yaml"]) == 2
    assert "did you mean prometheus-alerts.yml?" in capsys.readouterr().err


def test_they_are_installed_with_the_package(tmp_path: Path) -> None:
    """What a wheel is made of, without the compiled module."""
    built = tmp_path / "lib"
    # a list of files that an earlier build left beside the source would be taken for granted
    fresh = ["egg_info", "--egg-base", str(tmp_path)]
    made = subprocess.run(
        [sys.executable, "setup.py", "-q", *fresh, "build_py", "--build-lib", str(built)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    for path in CONTRIB.iterdir():
        assert (built / "tablevault/contrib" / path.name).read_bytes() == path.read_bytes()
    assert (built / "tablevault/py.typed").exists()
