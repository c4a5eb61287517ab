"""Preflight: can these tables be taken and brought back, and what is special about them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tablevault.errors import Unsupported
from tablevault.model import TableName
from tablevault.mysql.sql_doctor import set_global
from tablevault.ops.checkup import (
    RESTORE,
    SNAPSHOT,
    SWAP,
    Advice,
    Patient,
    fatal,
    fine,
    note,
    warning,
)
from tablevault.rows.kinds import specs_of

ONE_INSTANT = frozenset({"innodb", "rocksdb", "tokudb"})  # engines with consistent reads
_BY_ONE_THREAD_MATTERS = 64 << 20  # bytes; below it nobody notices
_SHOWN = 8
_COLLATE = re.compile(r"COLLATE[ =](\w+)", re.IGNORECASE)


def engines(patient: Patient) -> Iterator[Advice]:
    """Of live tables: can they be read as of one instant.  Of a snapshot's: are they here."""
    if patient.wants(SNAPSHOT):
        for facts in patient.facts.values():
            if facts.kind == "SYSTEM VERSIONED":
                message = f"table {facts.table} is system-versioned: its history cannot be kept"
                yield fatal((SNAPSHOT,), "engine", message, "leave the table out", facts.table)
            elif facts.engine.lower() not in ONE_INSTANT:
                yield fatal(
                    (SNAPSHOT,),
                    "engine",
                    f"table {facts.table} has engine {facts.engine}, whose rows cannot be read as "
                    "of one instant",
                    "leave it out, or convert it to InnoDB",
                    facts.table,
                )
    known = patient.inspect.engines
    wanted = sorted({one.entry.definition.engine for one in patient.restoring})
    lacking = [engine for engine in wanted if known is not None and engine.lower() not in known]
    if lacking and patient.wants(RESTORE):
        yield fatal(
            patient.for_(RESTORE),
            "engine",
            f"the server has no engine {', '.join(lacking)}, which tables of the snapshot need",
            "install it, or restore to another server",
        )


def columns(patient: Patient) -> Iterator[Advice]:
    """Column types that cannot be brought back exactly: all of them, not only the first."""
    if not patient.wants(SNAPSHOT):
        return
    found = 0
    for facts in patient.facts.values():
        for column in facts.columns:
            if column.generated:
                continue
            try:
                specs_of(facts.table, [column], patient.inspect.server.family)
            except Unsupported as error:
                found += 1
                remedy = error.hint or "leave the table out"
                yield fatal((SNAPSHOT,), "column type", error.message, remedy, facts.table)
    if not found and patient.facts:
        yield fine("column type", "every column can be brought back exactly")


def collations(patient: Patient) -> Iterator[Advice]:
    """Collations that the snapshot's definitions name and this server does not have."""
    known = patient.inspect.collations
    if known is None or not patient.wants(RESTORE):
        return
    named = {
        name.lower()
        for one in patient.restoring
        for name in _COLLATE.findall(one.entry.definition.create_sql)
    }
    # MariaDB lists its newer collations without the charset in front
    lacking = sorted(
        name for name in named if name not in known and name.partition("_")[2] not in known
    )
    if lacking:
        yield fatal(
            patient.for_(RESTORE),
            "collation",
            f"the server does not know {', '.join(lacking)}, which tables of the snapshot have",
            "restore to a server of the snapshot's version or a later one",
        )


def keys(patient: Patient) -> Iterator[Advice]:
    """Tables without a usable key; servers that demand one, or add one."""
    keyless = [facts for facts in patient.facts.values() if facts.key is None]
    for facts in keyless:
        large = facts.data_bytes > _BY_ONE_THREAD_MATTERS
        message = f"table {facts.table} has no usable key: one thread reads it, and it is proven "
        message += "and resumed as a whole"
        remedy = "a primary key makes it parallel and resumable"
        if large:
            yield warning("key", message, remedy, facts.table)
        else:
            yield note("key", message, remedy, facts.table)
    if patient.facts and not keyless:
        yield fine("key", "every table has a key whose ranges can be read in parallel")
    if patient.wants(RESTORE):
        yield from _demanded(patient)


def _demanded(patient: Patient) -> Iterator[Advice]:
    bare = [one.table for one in patient.volumes if not one.primary_key]
    if not bare:
        return
    for name in ("sql_require_primary_key", "innodb_force_primary_key"):
        if patient.inspect.is_on(name):
            yield fatal(
                patient.for_(RESTORE),
                "primary key",
                f"{name} is on, and {_listed(bare)} have none",
                set_global(name, 0) + " for the time of the restore",
            )
    notes = [n for n in patient.inspect.connection.notes if "invisible" in n]
    for told in notes:
        yield fatal(
            patient.for_(RESTORE),
            "primary key",
            f"{told}: {_listed(bare)}",
            set_global("sql_generate_invisible_primary_key", 0) + " for the time of the restore",
        )


def relations(patient: Patient) -> Iterator[Advice]:
    """Foreign keys and triggers: the swap has to take them along."""
    if not patient.tables:
        return
    foreign = patient.inspect.foreign_keys(patient.tables)
    if foreign is None:
        yield note("foreign keys", "foreign keys cannot be seen")
    elif foreign:
        shown = [f"{key.child} to {key.parent}" for key in foreign]
        yield note(
            "foreign keys",
            f"{len(foreign)} around these tables ({_listed(shown)}): a rename leaves those of "
            "children at the old table, the swap has to move them",
            "restore parents and children together where both have changed",
        )
    triggers = patient.inspect.triggers(patient.tables)
    if triggers:
        shown = [f"{name} on {table}" for table, name in triggers]
        yield note("triggers", f"{len(triggers)}: {_listed(shown)}: the swap has to move them")
    if foreign == [] and not triggers:
        yield fine("relations", "no foreign keys and no triggers around these tables")


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
            f"{_listed(special)}",
        )


def known_bugs(patient: Patient) -> Iterator[Advice]:
    """Bugs of this very version that concern what is done here, each with its source."""
    seen, version = patient.inspect, patient.inspect.server.version
    shown = ".".join(str(part) for part in version)
    if seen.mariadb and _bulk_aborts(version):
        off = not seen.is_on("unique_checks") and not seen.is_on("foreign_key_checks")
        message = (
            f"MariaDB {shown} aborts when tmpdir is full during a bulk insert (MDEV-34703), "
            "which tablevault never uses"
        )
        remedy = "upgrade to 10.11.11, 11.4.5, 11.7.2 or later"
        if off:
            message = message.partition(", which")[0] + ", and the server's defaults turn it on"
            yield warning("known bug", message, remedy)
        else:
            yield note("known bug", message, remedy)
        return
    if not seen.mariadb and (8, 0, 29) <= version <= (8, 0, 31):
        changed = seen.row_versions(patient.tables)
        message = (
            f"MySQL {shown} may damage tables with INSTANT added or dropped columns in crash "
            "recovery (redo log format of 8.0.29; Percona XtraBackup refuses such tables)"
        )
        if changed:
            message += f": {_listed(changed)}"
            yield warning("known bug", message, "upgrade to 8.0.32, or OPTIMIZE TABLE them")
        else:
            yield note("known bug", message, "upgrade to 8.0.32")
        return
    yield fine("known bug", f"none known here of {shown}")


def _bulk_aborts(version: tuple[int, int, int]) -> bool:
    """Versions with bulk insert (10.7 and later) before the fix of MDEV-34703 in their series."""
    fixed = {(10, 11): 11, (11, 4): 5, (11, 7): 2}
    series = version[:2]
    if series < (10, 7) or series >= (11, 8):
        return False
    return series not in fixed or version[2] < fixed[series]


def missing(patient: Patient) -> Iterator[Advice]:
    """Tables that were asked for and that nobody can see."""
    gone = [table for table in patient.tables if table not in patient.facts]
    if gone and patient.wants(SNAPSHOT) and patient.snapshot is None:
        yield fatal(
            (SNAPSHOT,),
            "tables",
            f"not there, or not to be seen by this account: {_listed(gone)}",
            "grant SELECT on them, or check their names",
        )
    views = [facts.table for facts in patient.facts.values() if facts.kind == "VIEW"]
    if views and patient.wants(RESTORE):
        yield fatal(
            patient.for_(RESTORE, SWAP),
            "tables",
            f"a view stands in the place of {_listed(views)}",
            "use --as or --into",
        )


def _listed(things: Sequence[TableName] | Sequence[str]) -> str:
    shown = ", ".join(str(thing) for thing in things[:_SHOWN])
    return shown if len(things) <= _SHOWN else f"{shown} and {len(things) - _SHOWN} more"
