"""After a repair: what of its tables is proven, and what is not as it was, told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tablevault.model import Finding
from tablevault.mysql import relations
from tablevault.mysql.connect import Connection, connect
from tablevault.ops.cutover_checks import ORPHANS_S
from tablevault.ops.diff import compare
from tablevault.ops.diff_terms import DIFFERS, EQUAL, DiffResult, TableDiff
from tablevault.ops.repair_check import Patient
from tablevault.ops.repair_site import RepairSite
from tablevault.ops.repair_terms import (
    CHANGED,
    EXTRA,
    MISSING,
    Compared,
    TableRepaired,
)
from tablevault.ops.repair_work import Done
from tablevault.ops.running import aside


def repaired_tables(
    site: RepairSite,
    results: dict[tuple[int, int], Done],
    again: DiffResult | None = None,
    *,
    back: bool = False,
) -> tuple[TableRepaired, ...]:
    """What was done with each table; rows that are not as they are to be become findings.

    `again` is a whole comparison that was made afterwards.
    """
    now: dict[object, TableDiff] = {one.table: one for one in again.tables} if again else {}
    tables = []
    for number, patient in site.patients.items():
        counts = dict.fromkeys((CHANGED, MISSING, EXTRA), 0)
        all_done = Done(0)
        for batch in site.state.batches:
            done = results.get((batch.table, batch.number))
            if batch.table == number and done is not None:
                counts[batch.what] += done.rows
                all_done += done
        for finding in _findings(patient, all_done):
            site.find(finding)
        compared = None if back else site.state.compared.get(number)
        left = now.get(patient.table)
        if left is None and compared is not None:
            left = _left(site, patient, compared, counts, all_done.other)
        tables.append(
            TableRepaired(
                table=patient.table,
                changed=counts[CHANGED],
                inserted=counts[MISSING],
                deleted=counts[EXTRA],
                held=all_done.held,
                altered=site.altered.get(number, ()),
                left=left,
                compared=compared,
                again=patient.table in now,
            )
        )
    return tuple(tables)


def _left(
    site: RepairSite, patient: Patient, compared: Compared, counts: Mapping[str, int], other: int
) -> TableDiff:
    """What the comparison found and the proofs of the batches did not find mended."""
    changed = compared.changed - counts[CHANGED] + other
    missing = compared.missing - counts[MISSING]
    extra = compared.extra - counts[EXTRA]
    return TableDiff(
        patient.table,
        DIFFERS if changed or missing or extra else EQUAL,
        rows=site.entries[compared.table].digest.rows,
        changed=changed,
        missing=missing,
        extra=extra,
    )


def _findings(patient: Patient, done: Done) -> Iterator[Finding]:
    if done.collisions:
        yield Finding(
            "collision",
            "rows could not be written, as another row has their unique value: "
            f"{done.collisions[0]}; if that is a row which the snapshot does not have, "
            "--delete-extra removes it",
            patient.table,
        )
    if done.held:
        yield Finding(
            "changed again",
            f"{_rows(done.held)} not written, having changed since the comparison or colliding: "
            f"{_named(patient, done.keys)}",
            patient.table,
        )
    if done.other:
        yield Finding(
            "differs",
            f"{_rows(done.other)} put back only in part: columns that had been equal have changed "
            f"since the comparison: {_named(patient, done.other_keys)}",
            patient.table,
        )


def _rows(count: int) -> str:
    return "1 row was" if count == 1 else f"{count:,} rows were"


def _named(patient: Patient, keys: Sequence[str]) -> str:
    shown = ", ".join(f"({key})" for key in keys)
    return f"({', '.join(spec.name for spec in patient.sides.key)}) = {shown}"


def compare_again(site: RepairSite) -> DiffResult | None:
    """The whole tables once more, where that was asked for: what changed meanwhile is in it."""
    if not site.options.prove_all:
        return None
    return compare(
        site.target,
        site.store,
        site.snapshot,
        site.entries,
        site.diff_options(examples=3),
        site.reporter,
    )


def tell_left(site: RepairSite, tables: Sequence[TableRepaired]) -> None:
    """What a comparison afterwards found although it was to be put back is a finding."""
    options = site.options
    if options.where is not None:
        return
    for one in tables:
        left = one.left
        if left is None or one.held or not one.again:
            continue
        missing = 0 if options.columns else left.missing
        extra = left.extra if options.delete_extra else 0
        if left.changed or missing or extra:
            site.find(
                Finding(
                    "differs",
                    f"{left.changed:,} rows differ, {missing:,} are missing and {extra:,} are "
                    "extra: they came to be so since they were compared",
                    one.table,
                )
            )


def tell_orphans(site: RepairSite) -> None:
    """Foreign keys were not checked: look for rows that have no parent now."""
    reporter = site.reporter
    touched = [
        patient
        for number, patient in site.patients.items()
        if any(batch.table == number for batch in site.state.batches)
        or number in site.state.altered
    ]
    if not touched:
        return
    connection = aside(reporter, "connecting", lambda: connect(site.target))
    with connection:
        for link in aside(reporter, "reading foreign keys", lambda: _links(connection, touched)):
            if not _touches(site, link):
                continue
            found = aside(
                reporter,
                f"looking for rows without parents: {link}",
                lambda link=link: relations.find_orphans(  # type: ignore[misc]
                    connection, link, link.child, link.parent, ORPHANS_S
                ),
                connection.abort,
            )
            if found is not None:
                site.find(Finding("foreign key", str(found), link.child))


def _links(connection: Connection, patients: Sequence[Patient]) -> list[relations.Link]:
    links = [link for one in patients for link in relations.links_of(connection, one.table)]
    links += relations.links_to(connection, [one.table for one in patients])
    distinct = {(link.child, link.name, link.columns): link for link in links}
    return list(distinct.values())


def _touches(site: RepairSite, link: relations.Link) -> bool:
    """Whether the repair wrote columns of the foreign key, on either side, or may have made it."""
    if any(site.patients[number].table == link.child for number in site.altered):
        return True
    for batch in site.state.batches:
        patient = site.patients[batch.table]
        names = {spec.name for spec in patient.columns(batch.columns)}
        if patient.table == link.child and names & set(link.columns):
            return True
        if patient.table == link.parent and names & set(link.parent_columns):
            return True
    return False
