"""Preflight: how the server builds the secondary indexes of the tables."""

from __future__ import annotations

from collections.abc import Iterator

from tablevault.mysql.sql_doctor import set_global
from tablevault.ops.checkup import RESTORE, Advice, Patient, fine, listed, note
from tablevault.ops.index_choice import BUILD_THREADS

# An index over 1.4 M rows took 3.4 s with one thread and 2.2 s with four, on two cores (MySQL 9.7);
# four is the server's own default.
_THREADS = 4


def builders(patient: Patient) -> Iterator[Advice]:
    """How many threads of a MySQL server build one index."""
    if not patient.wants(RESTORE):
        return
    found = {name: patient.inspect.number(name) for name in BUILD_THREADS}
    threads = {name: number for name, number in found.items() if number is not None}
    if not threads:
        return
    fewest = min(threads, key=threads.__getitem__)
    shown = ", ".join(f"{name} = {number}" for name, number in threads.items())
    if threads[fewest] < _THREADS:
        yield note(
            "index builds",
            f"{shown}: an index takes about half as long again as with {_THREADS} threads",
            set_global(fewest, _THREADS) + " before large restores",
        )
    else:
        yield fine("index builds", shown)


def special_indexes(patient: Patient) -> Iterator[Advice]:
    """FULLTEXT and SPATIAL indexes: slow to build, one at a time."""
    special = [
        f"{kind} {name} of {facts.table}"
        for facts in patient.facts.values()
        for name, kind in facts.indexes.items()
        if kind in ("FULLTEXT", "SPATIAL")
    ]
    if special:
        yield note(
            "indexes",
            f"built one at a time, by one thread and without a figure of progress: "
            f"{listed(special)}",
        )
