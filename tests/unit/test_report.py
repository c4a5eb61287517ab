"""The pages of `report`: valid, of one piece, escaped, without values; what they tell is true."""

from __future__ import annotations

import datetime
import itertools
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import html5lib
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tablevault.cli.app import app
from tablevault.cli.report import charts, scales
from tablevault.cli.report.markup import tag, text
from tablevault.cli.report.run_facts import in_lanes, run_facts, sittings, without_values
from tablevault.cli.report.run_page import run_page
from tablevault.cli.report.vault_facts import days_of, vault_facts
from tablevault.cli.report.vault_page import vault_page
from tablevault.model import TableName
from tablevault.names import HISTORY
from tablevault.ops.history import History, read_history
from tablevault.ops.runs import replay
from tablevault.vault.proofs import keep_drill
from tablevault.vault.store import LocalStore, open_store
from tests.support import reports
from tests.unit.test_retention import drilled
from tests.unit.vaults import definition, write_snapshot

UGLY = (
    "</style><script>alert(1)</script>",
    "<!-- --> ]]> &amp; &#x41;",
    "\"quoted\" 'twice' `thrice`",
    "wat\u202eereht \x00 \x1b[31m",
    "half \udcff, 表, 🙈",
    "x" * 64,
)
RUN = "20261124T020000Z-abcdef"


def checked(page: str) -> Any:
    """The page's tree: valid HTML of its own, which asks nobody for anything."""
    tree = html5lib.HTMLParser(strict=True).parse(page)
    names = {re.sub(r"\{.*\}", "", str(node.tag)) for node in tree.iter()}
    assert not names & {"script", "link", "img", "iframe", "object", "base", "form", "use", "image"}
    for node in tree.iter():
        for name, value in node.attrib.items():
            assert not str(name).startswith("on"), name
            assert name not in ("href", "src", "style"), (name, value)
    policies = [node.attrib.get("content", "") for node in tree.iter()]
    assert any(policy.startswith("default-src 'none'") for policy in policies)
    assert not re.search(r"url\(|@import|https?:", page)
    page.encode("utf-8")
    return tree


def words(tree: Any) -> str:
    return " ".join("".join(tree.itertext()).split())


def test_a_run_under_trouble_is_told() -> None:
    records = reports.a_restore_under_trouble("shop.orders", RUN)
    run = run_facts(RUN, None, [], records, thinned=False)
    told = words(checked(run_page(run)))
    for expected in (
        "restore of shop.orders",
        "longest silence30 s",
        "slowed down 10 s",
        "the redo log: 98 %, the limit is 94 %",
        "stall 40 s",
        "worker 2",
        "connection 7 (app@web), 61 s: UPDATE …",
    ):
        assert expected in told, expected
    assert "4711" not in told, "a value"
    assert "secret" not in told, "a value"
    kinds = {one.kind: round(one.end - one.begin) for one in run.troubles}
    assert kinds == {"silent": 30, "slowed": 10, "stalled": 40, "waiting": 8, "again": 2}
    assert [phase for phase, _, _ in run.phases] == ["checking", "loading", "indexing"]
    assert {one.worker for one in run.work} == {0, 1}


@pytest.mark.parametrize("name", UGLY)
def test_no_name_breaks_out(name: str, vault: Path) -> None:
    records = reports.a_restore_under_trouble(f"shop.{name}", RUN)
    tree = checked(run_page(run_facts(RUN, None, [], records, thinned=False)))
    assert text(name) in text(words(tree)) or name.isspace() or not name.isprintable()
    store = open_store(str(vault), create=True)
    write_snapshot(store, table=definition(table=TableName("shop", name.replace("\0", "0"))))
    checked(vault_page(vault_facts(store, time.time()), time.time()))


@given(st.text())
def test_any_text_is_one_element(anything: str) -> None:
    page = tag(
        "html", tag("head", tag("title", "x")), tag("body", tag("p", anything, title=anything))
    )
    tree = html5lib.HTMLParser(strict=True).parse(f"<!doctype html>{page}")
    (paragraph,) = (node for node in tree.iter() if str(node.tag).endswith("}p"))
    assert not list(paragraph)
    assert (paragraph.text or "") == paragraph.attrib["title"]


def test_values_stay_out() -> None:
    assert (
        without_values("Duplicate entry 'a\\'b' for key 'k'") == "Duplicate entry '…' for key '…'"
    )
    assert without_values("the row with x = 0xDEADBEEF") == "the row with x = '…'"
    session = "connection 7 (u@h), idle in transaction 61 s: DELETE FROM t WHERE id = 4711"
    assert without_values(session) == "connection 7 (u@h), idle in transaction 61 s: DELETE …"


def test_the_journal_alone_gives_a_page(tmp_path: Path) -> None:
    journal, entries = reports.a_journal(tmp_path / RUN, RUN)
    journal.close()
    run = run_facts(RUN, replay(RUN, entries), entries, [], thinned=True)
    assert [(one.kind, one.what) for one in run.work] == [
        ("chunk", "chunk 0, row group 0"),
        ("chunk", "chunk 0, row group 1"),
        ("index", "index by`name"),
    ]
    assert sum(one.size_bytes for one in run.work) == 1000
    told = words(checked(run_page(run)))
    assert "row groups are taken to be of equal size" in told
    assert "longest silence" not in told, "nobody listened"
    assert not run.heard


def test_a_run_that_was_resumed_a_day_later_is_drawn_in_two_pieces() -> None:
    first = [{"type": "RunBegan", "time": 0.0}, {"type": "RunEnded", "time": 60.0}]
    later = [{"type": "RunBegan", "time": 86400.0}, {"type": "RunEnded", "time": 86460.0}]
    spans = sittings([*first, *later])
    assert spans == ((0.0, 60.0), (86400.0, 86460.0))
    axis = scales.TimeAxis(spans, 0, 214)
    assert (axis.x(0), axis.x(60), axis.x(86400), axis.x(86460)) == (0, 100, 114, 214)
    assert axis.breaks() == [107]


def test_parts_that_nobody_numbered_take_as_few_lanes_as_they_need() -> None:
    records = reports.a_restore_under_trouble("shop.orders", RUN)
    work = run_facts(RUN, None, [], records, thinned=False).work
    unnumbered = [replace(one, worker=None) for one in work]
    lanes = in_lanes(unnumbered)
    assert sum(map(len, lanes)) == len(work)
    for lane in lanes:
        assert all(a.end <= b.begin + 0.02 for a, b in itertools.pairwise(lane))


def test_a_vault_shows_its_days(vault: Path) -> None:
    store = open_store(str(vault), create=True)
    written = write_snapshot(store)
    at = written.snapshot.created
    keep_drill(store, replace(drilled(written.snapshot, "shop.orders"), at=at + 86400))
    facts = vault_facts(store, at + 3 * 86400)
    days = days_of(facts)
    day = datetime.date.fromtimestamp(at)
    assert days[day].snapshots == 1
    assert days[day + datetime.timedelta(days=1)].drilled
    told = words(checked(vault_page(facts, at + 3 * 86400)))
    assert "last proven restorable2 d ago" in told
    assert "3 of 3 chunks never" in told
    assert "shop.orders3 d agonot all2 d ago" in told


def test_an_empty_vault_has_a_page(vault: Path) -> None:
    store = open_store(str(vault), create=True)
    assert "newest snapshotnone" in words(checked(vault_page(vault_facts(store, 1.0e9), 1.0e9)))


def test_drawings_stay_within_their_frame() -> None:
    records = reports.a_restore_under_trouble("shop.orders", RUN)
    run = run_facts(RUN, None, [], records, thinned=False)
    lanes = [charts.Lane("w", [charts.Bar(w.begin, w.end, "c0", w.what) for w in run.work])]
    for width in (340, 920):
        drawn = charts.timeline(lanes, run.spans, width)
        for x, wide in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn):
            assert float(x) >= 0
            assert float(x) + float(wide) <= width


def test_a_history_is_sparse_and_survives_a_torn_line(tmp_path: Path) -> None:
    history = History(tmp_path)
    for event in reports.a_night_of_events(RUN, hours=8):
        history(event)
    history.flush()
    file = tmp_path / HISTORY
    assert file.stat().st_size < 1_000_000
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open("a") as more:
        more.write('{"type": "RunEn')
    records = read_history(file, RUN)
    kinds = {str(record["type"]) for record in records}
    assert kinds == {"RunBegan", "Progress", "Silence", "RunEnded"}
    assert [r["seconds"] for r in records if r["type"] == "Silence"] == [60.0]
    assert 1000 < len(records) < 3000


def test_a_late_proof_is_no_second_load(vault: Path) -> None:
    records = reports.a_restore_under_trouble("s.t", RUN)
    loaded = next(r for r in records if r["type"] == "ChunkDone" and r["phase"] == "loading")
    loaded["proven"] = False
    proven = {**loaded, "time": reports.BEGAN + 103.5, "phase": "indexing", "proven": True}
    before, after = (
        [(one.what, one.size_bytes) for one in run_facts(RUN, None, [], told, thinned=False).work]
        for told in (records, [*records, proven])
    )
    group = f"chunk {loaded['chunk']}, row group 0"
    assert sorted([*before, (f"proof of {group}", 0)]) == sorted(after)


def test_the_command(vault: Path, tmp_path: Path) -> None:
    store = open_store(str(vault), create=True)
    write_snapshot(store)
    page = tmp_path / "report.html"
    run = CliRunner().invoke

    assert run(app, ["report", "-o", str(page), "--vault", str(vault)]).exit_code == 0
    checked(page.read_text())
    assert page.stat().st_mode & 0o777 == 0o600
    assert run(app, ["report", str(vault), "-o", "-"]).stdout.startswith("<!doctype html>")
    journal, _ = reports.a_journal(vault / ".runs" / RUN, RUN)
    journal.close()
    told = run(app, ["report", RUN[:12], "-o", str(page), "--vault", str(vault), "--json"])
    assert json.loads(told.stdout) == {"status": "ok", "run": RUN, "file": str(page)}
    checked(page.read_text())


def test_what_it_refuses(vault: Path, tmp_path: Path, store_with_journal: LocalStore) -> None:
    from tablevault.cli.main import main

    where = ["-o", str(tmp_path / "x.html"), "--vault", str(vault)]
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"type": "RunBegan", "time": 1.0, "run": "another"}) + "\n")
    assert main(["report", "nothing", *where]) == 2
    assert main(["report", "--from", "x.jsonl", *where]) == 2
    assert main(["report", RUN, "--from", str(other), *where]) == 2
    assert main(["report", RUN, "--from", str(tmp_path / "missing"), *where]) == 4
    assert main(["report", RUN, "-o", str(tmp_path / "no" / "x"), "--vault", str(vault)]) == 4


@pytest.fixture
def store_with_journal(vault: Path) -> LocalStore:
    store = open_store(str(vault), create=True)
    journal, _ = reports.a_journal(vault / ".runs" / RUN, RUN)
    journal.close()
    return store
