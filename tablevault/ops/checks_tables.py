"""Preflight: can these tables be taken and brought back, and what is special about them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tablevault.errors import Unsupported
from tablevault.model import TableName
from tablevault.mysql import sql_tables, versioning
from tablevault.mysql.engines import readable, transactional
from tablevault.mysql.sql_doctor import set_global
from tablevault.ops.checkup import (
    RESTORE,
    SNAPSHOT,
    SWAP,
    Advice,
    Patient,
    fatal,
    fine,
    listed,
    note,
    warning,
)
from tablevault.rows.kinds import specs_of

_BY_ONE_THREAD_MATTERS = 64 << 20  # bytes; below it nobody notices
_NEXTVAL = re.compile(r"(?:next|last|set)val\(`((?:[^`])+)`\.`((?:[^`])+)`")
_COLLATE = re.compile(r"COLLATE[ =](\w+)", re.IGNORECASE)


def engines(patient: Patient) -> Iterator[Advice]:
    """Of live tables: can they be read as of one instant.  Of a snapshot's: are they here."""
    if patient.wants(SNAPSHOT):
        for facts in patient.facts.values():
            if not readable(facts.engine):
                yield fatal(
                    (SNAPSHOT,),
                    "engine",
                    f"table {facts.table} has engine {facts.engine}, whose rows cannot be read as "
                    "of one instant",
                    "leave it out, or convert it to InnoDB",
                    facts.table,
                )
        bare = [
            one.table
            for one in patient.facts.values()
            if readable(one.engine) and not transactional(one.engine)
        ]
        if bare:
            message = f"without transactions, so locked against writing while read: {listed(bare)}"
            yield note("engine", message, "convert them to InnoDB, and nobody waits")
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


def history(patient: Patient) -> Iterator[Advice]:
    """System-versioned tables: does this server take their history back."""
    seen, version = patient.inspect, patient.inspect.server.version
    live = [facts.table for facts in patient.facts.values() if facts.kind == "SYSTEM VERSIONED"]
    if live and patient.wants(SNAPSHOT) and not versioning.takes_history(version):
        message = f"{listed(live)}: MariaDB takes no history back before 10.11"
        yield fatal((SNAPSHOT,), "history", message, "leave them out, or upgrade the server")
    elif patient.wants(SNAPSHOT):
        for table in live:
            yield from _history_of(patient, table)
    coming = [
        one.target
        for one in patient.restoring
        if any(column.system_time for column in one.entry.definition.columns)
    ]
    if not coming or patient.snapshot is None or not patient.wants(RESTORE):
        return
    commands, shown = patient.for_(RESTORE), listed(coming)
    if not versioning.takes_history(version):
        message = f"{shown}: MariaDB takes no history before 10.11"
        yield fatal(commands, "history", message, "restore to a later server")
    if not versioning.same_end_of_time(patient.snapshot.server.version, version):
        message = f"{shown}: rows that are current end in another year on this server"
        remedy = "restore to a server of the snapshot's version: from 11.5 on they end in 2106"
        yield fatal(commands, "history", message, remedy)
    if seen.settings.get("secure_timestamp", "NO").upper() in ("YES", "REPLICATION"):
        message = f"{shown}: secure_timestamp is on, so that nobody may write history"
        yield fatal(commands, "history", message, "start the server with secure_timestamp = NO")


def _history_of(patient: Patient, table: TableName) -> Iterator[Advice]:
    """Whether what a versioned table's history hangs on could come back."""
    rows = patient.inspect.ask(sql_tables.show_create_table(table)) or []
    try:
        versioning.with_times(table, tuple(patient.facts[table].columns))
        for row in rows:
            create_sql = (row[1] or b"").decode("utf-8", "surrogateescape")
            versioning.require_restorable(table, create_sql, patient.inspect.server)
    except Unsupported as error:
        remedy = error.hint or "leave the table out"
        yield fatal((SNAPSHOT,), "history", error.message, remedy, table)


def sequences(patient: Patient) -> Iterator[Advice]:
    """Sequences that defaults of the tables take values from: without them no table is made."""
    for one in patient.restoring if patient.wants(RESTORE) else ():
        named = {TableName(*names) for names in _NEXTVAL.findall(one.entry.definition.create_sql)}
        for name in sorted(named):
            found = patient.inspect.ask(sql_tables.table_type(name))
            if found == []:
                yield fatal(
                    patient.for_(RESTORE),
                    "sequence",
                    f"table {one.target} takes values from sequence {name}, which is not there",
                    f"restore it first: tablevault restore SNAPSHOT {name} --swap",
                    one.target,
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
    keyless = [
        facts
        for facts in patient.facts.values()
        if facts.key is None and facts.kind not in ("SEQUENCE", "VIEW")
    ]
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
                f"{name} is on, and {listed(bare)} have none",
                set_global(name, 0) + " for the time of the restore",
            )
    notes = [n for n in patient.inspect.connection.notes if "invisible" in n]
    for told in notes:
        yield fatal(
            patient.for_(RESTORE),
            "primary key",
            f"{told}: {listed(bare)}",
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
            f"{len(foreign)} around these tables ({listed(shown)}): a rename leaves those of "
            "children at the old table, the swap has to move them",
            "restore parents and children together where both have changed",
        )
    triggers = patient.inspect.triggers(patient.tables)
    if triggers:
        shown = [f"{name} on {table}" for table, name in triggers]
        yield note("triggers", f"{len(triggers)}: {listed(shown)}: the swap has to move them")
    if foreign == [] and not triggers:
        yield fine("relations", "no foreign keys and no triggers around these tables")


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
            message += f": {listed(changed)}"
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
            f"not there, or not to be seen by this account: {listed(gone)}",
            "grant SELECT on them, or check their names",
        )
    views = [facts.table for facts in patient.facts.values() if facts.kind == "VIEW"]
    if views and patient.wants(RESTORE):
        yield fatal(
            patient.for_(RESTORE, SWAP),
            "tables",
            f"a view stands in the place of {listed(views)}",
            "use --as or --into",
        )
