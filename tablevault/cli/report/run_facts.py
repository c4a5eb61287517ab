"""What is known of a run, put together from its journal and its events.  Reads nothing itself.

The journal says what was done, the events how it went; either alone gives a page.  What a server
or a person wrote (statements, messages with values in quotes) stays out of it.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tablevault.ops.history import MOST_CHUNKS, SILENCE, SILENT_AFTER_S
from tablevault.ops.runs import DRILL, RunState

Record = Mapping[str, Any]
CHUNK, INDEX = "chunk", "index"
CHECKING = "checking"
_SITTING_S = 120.0  # two processes of a run that are this far apart are drawn apart
_WORTH_S = 2.0  # a wait that is worth a mark
_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|\b0x[0-9A-Fa-f]+\b")
_STATEMENT = re.compile(r"(, (?:idle in transaction )?\d+ s: \w+) .*", re.DOTALL)
_NAMED = re.compile(r"`((?:[^`]|``)+)`")


@dataclass(frozen=True)
class Work:
    """A part that a worker did; Unix seconds.  `worker` is None where nobody wrote it down."""

    begin: float
    end: float
    kind: str
    table: str
    what: str
    size_bytes: int = 0
    worker: int | None = None


@dataclass(frozen=True)
class Trouble:
    """Something that held the run up: waiting, stalled, slowed, held, again, silent."""

    kind: str
    begin: float
    end: float
    what: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunFacts:
    """A run; times are Unix seconds."""

    run: str
    operation: str = ""
    snapshot: str | None = None
    tables: tuple[str, ...] = ()
    outcome: str = ""
    message: str = ""
    spans: tuple[tuple[float, float], ...] = ()  # when a process worked on it
    phases: tuple[tuple[str, float, float], ...] = ()
    work: tuple[Work, ...] = ()
    samples: tuple[tuple[float, int], ...] = ()  # when, and bytes done
    troubles: tuple[Trouble, ...] = ()
    hints: tuple[str, ...] = ()
    findings: tuple[tuple[str, str, int | None], ...] = ()  # kind, table, chunk
    done: Mapping[str, tuple[int, int, float]] = field(default_factory=dict)  # rows, bytes, when
    heard: bool = False  # whether there is anything but the journal
    drawn_in_part: bool = False  # more chunks than were written down

    @property
    def seconds(self) -> float:
        """How long processes worked on it."""
        return sum(end - begin for begin, end in self.spans)


def run_facts(
    run: str,
    state: RunState | None,
    journal: Sequence[Record],
    records: Sequence[Record],
    *,
    thinned: bool,
) -> RunFacts:
    """The facts; `thinned` tells a run's own history from all of its events."""
    began: Record = next((r for r in records if r.get("type") == "RunBegan"), {})
    ended: Record = next((r for r in reversed(records) if r.get("type") == "RunEnded"), {})
    spans = sittings([*journal, *records])
    names = _table_names(state)
    shown = (
        dict(zip((str(one.target) for one in state.tables), names, strict=True)) if state else {}
    )
    chunks = tuple(_chunks(records, shown))
    return RunFacts(
        run=run,
        operation=state.operation if state else str(began.get("operation", "run")),
        snapshot=(state.snapshot if state else None) or began.get("snapshot"),
        tables=tuple(names) or tuple(map(str, began.get("tables") or ())),
        outcome=_outcome(state, ended),
        message=without_values(str(ended.get("message", ""))),
        spans=spans,
        phases=tuple(_phases(records, spans)),
        work=(chunks or tuple(_journalled_chunks(state, journal, names)))
        + tuple(_journalled_steps(journal, names)),
        samples=tuple(
            (r["time"], int(r.get("bytes_done", 0))) for r in records if r.get("type") == "Progress"
        ),
        troubles=tuple(sorted(_troubles(records, thinned=thinned), key=lambda one: one.begin)),
        hints=tuple(
            dict.fromkeys(
                without_values(str(r.get("message", "")))
                for r in records
                if r.get("type") == "Hint"
            )
        ),
        findings=tuple(
            (str(r.get("kind", "")), str(r.get("table") or ""), r.get("chunk"))
            for r in records
            if r.get("type") == "FindingMade"
        ),
        done=_done(records, shown),
        heard=bool(records),
        drawn_in_part=thinned and len(chunks) >= MOST_CHUNKS,
    )


def without_values(told: str) -> str:
    """A message without what it quotes, and of a session's statement its first word.

    >>> without_values("Duplicate entry 'a''b' for key 'k'")
    "Duplicate entry '…' for key '…'"
    >>> without_values("connection 7 (u@h), 61 s: UPDATE t SET x=1")
    'connection 7 (u@h), 61 s: UPDATE …'
    """
    return _QUOTED.sub("'…'", _STATEMENT.sub(r"\1 …", told))


def sittings(records: Iterable[Record]) -> tuple[tuple[float, float], ...]:
    """When something worked on a run: apart where a new process came long after the last sign."""
    spans: list[tuple[float, float]] = []
    for record in sorted(records, key=lambda one: one["time"]):
        at = record["time"]
        begin, end = spans[-1] if spans else (at, at)
        new = record.get("type") == "RunBegan" or record.get("kind") == "connections"
        if not spans or (new and at - end > _SITTING_S):
            spans.append((at, at))
        else:
            spans[-1] = (begin, max(end, at))
    return tuple((begin, max(end, begin + 0.5)) for begin, end in spans)


def in_lanes(work: Iterable[Work]) -> list[list[Work]]:
    """The parts by worker; those without one into as few lanes as they need."""
    known: dict[int, list[Work]] = {}
    packed: list[list[Work]] = []
    for one in sorted(work, key=lambda part: part.begin):
        if one.worker is not None:
            known.setdefault(one.worker, []).append(one)
            continue
        lane = next((lane for lane in packed if lane[-1].end <= one.begin + 0.01), None)
        if lane is None:
            packed.append([one])
        else:
            lane.append(one)
    return [known[number] for number in sorted(known)] + packed


def _outcome(state: RunState | None, ended: Record) -> str:
    told = str(ended.get("status", ""))
    if state is None or told not in ("", "ok"):
        return told or "no end was seen"
    return state.status


def _table_names(state: RunState | None) -> list[str]:
    """The names to show: a drill's scratch schemas are nobody's."""
    if state is None:
        return []
    drill = state.operation == DRILL
    return [str(one.source if drill else one.target) for one in state.tables]


def _chunks(records: Sequence[Record], shown: Mapping[str, str]) -> Iterator[Work]:
    done = [r for r in records if r.get("type") == "ChunkDone" and r.get("worker") is not None]
    moves_rows = any(r.get("phase") != CHECKING for r in done)
    loaded = set()  # row groups that are told of once more when they are proven
    for r in done:
        check = moves_rows and r.get("phase") == CHECKING  # of the file, before it is loaded
        part = "" if r.get("row_group") is None else f", row group {r['row_group']}"
        place = (r.get("table"), r.get("chunk"), part)
        late = part != "" and place in loaded
        loaded.add(place)
        first = "file of " if check else "proof of " if late else ""
        yield Work(
            begin=r["time"] - float(r.get("seconds", 0.0)),
            end=r["time"],
            kind=CHUNK,
            table=shown.get(str(r.get("table", "")), str(r.get("table", ""))),
            what=f"{first}chunk {r.get('chunk')}{part}",
            size_bytes=0 if check or late else int(r.get("size_bytes", 0)),
            worker=r.get("worker"),
        )


def _journalled_chunks(
    state: RunState | None, journal: Sequence[Record], names: Sequence[str]
) -> Iterator[Work]:
    """Row groups by the journal; each is taken to be as large as the table's others."""
    if state is None:
        return
    steps = [e for e in journal if e["kind"] in ("loading", "loaded", "proven") and "group" in e]
    places = [(entry["table"], entry["chunk"], entry["group"]) for entry in steps]
    counts = Counter(table for table, _, _ in set(places))
    begun: dict[tuple[int, int, int], float] = {}
    for entry, place in zip(steps, places, strict=True):
        if entry["kind"] == "loading":
            begun[place] = entry["time"]
        elif place in begun:
            yield Work(
                begin=begun.pop(place),
                end=entry["time"],
                kind=CHUNK,
                table=names[entry["table"]],
                what=f"chunk {entry['chunk']}, row group {entry['group']}",
                size_bytes=state.tables[entry["table"]].size_bytes // counts[entry["table"]],
            )


def _journalled_steps(journal: Sequence[Record], names: Sequence[str]) -> Iterator[Work]:
    begun: dict[tuple[int, int], tuple[float, str]] = {}
    for entry in journal:
        if entry["kind"] == "indexing":
            found = _NAMED.search(str(entry.get("clause", "")))
            name = found[1].replace("``", "`") if found else str(entry["index"] + 1)
            begun[(entry["table"], entry["index"])] = entry["time"], name
        elif entry["kind"] == "indexed" and (entry["table"], entry["index"]) in begun:
            at, name = begun.pop((entry["table"], entry["index"]))
            yield Work(at, entry["time"], INDEX, names[entry["table"]], f"index {name}")


def _phases(
    records: Sequence[Record], spans: Sequence[tuple[float, float]]
) -> Iterator[tuple[str, float, float]]:
    begun: list[tuple[str, float]] = []
    for r in records:
        if r.get("type") == "PhaseBegan" and r.get("phase"):
            begun.append((str(r["phase"]), r["time"]))
        elif r.get("type") in ("RunBegan", "RunEnded"):
            begun.append(("", r["time"]))
    begun.append(("", spans[-1][1] if spans else 0.0))
    for (phase, begin), (_, end) in itertools.pairwise(begun):
        if phase:
            yield phase, begin, end


def _troubles(records: Sequence[Record], *, thinned: bool) -> Iterator[Trouble]:
    waits: dict[str, Trouble] = {}
    slowed: dict[str, tuple[float, Record]] = {}
    said: float | None = None
    for r in records:
        kind, at = r.get("type"), r["time"]
        if not thinned and said is not None and kind != "RunBegan" and at - said > SILENT_AFTER_S:
            yield Trouble("silent", said, at, "nothing was said")
        said = at
        if kind == SILENCE:
            yield Trouble("silent", at, at + float(r["seconds"]), "nothing was said")
        elif kind == "Waiting":
            yield from _waited(waits, r)
        elif kind == "Stalled":
            notes = tuple(without_values(str(one)) for one in r.get("evidence", ()))
            what = without_values(str(r.get("cause", "")))
            yield Trouble("stalled", at - float(r.get("seconds", 0.0)), at, what, notes)
        elif kind == "Retrying":
            what = without_values(f"{r.get('what', '')}: {r.get('cause', '')}")
            yield Trouble("again", at, at + float(r.get("delay_s", 0.0)), what)
        elif kind == "Throttled":
            what = str(r.get("what", ""))
            begin, first = slowed.setdefault(what, (at, r))
            if not r.get("held") and not r.get("pause_s"):
                yield _slowed(begin, at, first)
                del slowed[what]
        elif kind == "RunEnded":
            yield from (_slowed(begin, at, first) for begin, first in slowed.values())
            slowed.clear()
    yield from (_slowed(begin, said or begin, first) for begin, first in slowed.values())
    yield from (one for one in waits.values() if one.end - one.begin >= _WORTH_S)


def _waited(waits: dict[str, Trouble], r: Record) -> Iterator[Trouble]:
    """Note a wait, one with its last mention; give the one that was over before."""
    what, end = without_values(str(r.get("what", ""))), r["time"]
    begin = end - float(r.get("seconds", 0.0))
    before = waits.get(what)
    if before is not None and begin > before.begin + 1.0:
        if before.end - before.begin >= _WORTH_S:
            yield before
        before = None
    who = tuple(without_values(str(one)) for one in r.get("blockers", ()))
    known = before.notes if before else ()
    waits[what] = Trouble("waiting", begin, end, what, who or known)


def _slowed(begin: float, end: float, first: Record) -> Trouble:
    what = f"{first.get('what', '')}: {first.get('figure', '')}, the limit is {first.get('limit')}"
    return Trouble("held" if first.get("held") else "slowed", begin, end, what)


def _done(records: Sequence[Record], shown: Mapping[str, str]) -> dict[str, tuple[int, int, float]]:
    return {
        shown.get(str(r.get("table")), str(r.get("table"))): (
            int(r.get("rows", 0)),
            int(r.get("size_bytes", 0)),
            r["time"],
        )
        for r in records
        if r.get("type") == "TableDone"
    }
