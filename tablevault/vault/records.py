"""A snapshot as the JSON fields of its manifest, and back: one pair of functions per value."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from tablevault.errors import Unsupported
from tablevault.model import (
    SOME_ROWS,
    BinlogPosition,
    Column,
    Key,
    KeyColumn,
    Reused,
    ServerInfo,
    Snapshot,
    TableDef,
    TableEntry,
    TableName,
    TriggerSettings,
)
from tablevault.rows.kinds import Kind, spec_of
from tablevault.vault.chunklist import digest_record, read_digest
from tablevault.vault.fields import Fields
from tablevault.vault.tablespace_record import read_tablespace, tablespace_record

FORMAT = 1
NULLABLE_KEYS = "nullable-keys"  # the first chunk of a table may be the rows with a NULL in its key
SEQUENCES = "sequences"  # a table may be one: its one row says what comes next
SYSTEM_VERSIONING = "system-versioning"  # rows are current or history, with their times as data
GEOMETRY_WKB = "geometry-wkb"  # cells of geometry columns are WKB, their SRID stands apart
TABLESPACES = "tablespaces"  # beside the chunks of a table may lie a copy of its tablespace
KNOWN_FEATURES = frozenset(
    {NULLABLE_KEYS, SEQUENCES, SYSTEM_VERSIONING, GEOMETRY_WKB, SOME_ROWS, TABLESPACES}
)


def features_of(tables: Iterable[TableEntry]) -> tuple[str, ...]:
    """What a reader of a snapshot of these tables must know."""
    entries = list(tables)
    columns = [column for entry in entries for column in entry.definition.columns]
    found = set()
    if any(one.definition.key and one.definition.key.nullable for one in entries):
        found.add(NULLABLE_KEYS)
    if any(entry.definition.sequence for entry in entries):
        found.add(SEQUENCES)
    if any(column.system_time for column in columns):
        found.add(SYSTEM_VERSIONING)
    if any(_kind(column) == Kind.GEOMETRY.value for column in columns):
        found.add(GEOMETRY_WKB)
    if any(entry.tablespace for entry in entries):
        found.add(TABLESPACES)
    return tuple(sorted(found))


def snapshot_record(snapshot: Snapshot) -> dict[str, Any]:
    """The manifest's content, without its checksum (docs/FORMAT.md, Manifest)."""
    server, binlog = snapshot.server, snapshot.binlog
    return {
        "format": FORMAT,
        "features": list(snapshot.features),
        "id": snapshot.id,
        "name": snapshot.name,
        "created": snapshot.created,
        "finished": snapshot.finished,
        "tool_version": snapshot.tool_version,
        "lock": snapshot.lock,
        "partial": snapshot.partial,
        "hints": list(snapshot.hints),
        "session": dict(snapshot.session),
        "binlog": {"file": binlog.file, "position": binlog.position, "gtid": binlog.gtid},
        "server": {
            "family": server.family,
            "version": list(server.version),
            "version_text": server.version_text,
            "uuid": server.uuid,
            "started_at": server.started_at,
            "hostname": server.hostname,
            "port": server.port,
        },
        "tables": [_table_record(entry) for entry in snapshot.tables],
    }


def _table_record(entry: TableEntry) -> dict[str, Any]:
    definition = entry.definition
    return {
        "schema": definition.table.schema,
        "name": definition.table.name,
        "path": entry.path,
        "chunks": {
            "path": entry.chunks_path,
            "sha256": entry.chunks_sha256,
            "count": entry.chunk_count,
        },
        **digest_record(entry.digest),
        "wire_bytes": entry.wire_bytes,
        "file_bytes": entry.file_bytes,
        "largest_row": entry.largest_row,
        "where": entry.where,
        "reused": dataclasses.asdict(entry.reused) if entry.reused else None,
        "tablespace": tablespace_record(entry.tablespace),
        "create_sql": definition.create_sql,
        "triggers": list(definition.triggers),
        "trigger_settings": [dataclasses.asdict(one) for one in definition.trigger_settings],
        "engine": definition.engine,
        "collation": definition.collation,
        "identity": definition.identity,
        "estimated_rows": definition.estimated_rows,
        "estimated_bytes": definition.estimated_bytes,
        "auto_increment": definition.auto_increment,
        "sequence": definition.sequence,
        "columns": [_column_record(column) for column in definition.columns],
        "key": None
        if definition.key is None
        else {
            "name": definition.key.name,
            "nullable": definition.key.nullable,
            "columns": [
                {"name": part.name, "descending": part.descending}
                for part in definition.key.columns
            ],
        },
    }


def _column_record(column: Column) -> dict[str, Any]:
    """`kind` is for other readers, and holds a later version to the same choice."""
    record: dict[str, Any] = {
        "name": column.name,
        "mysql_type": column.column_type,
        "data_type": column.data_type,
        "nullable": column.nullable,
        "kind": _kind(column),
    }
    optional = {
        "charset": column.charset,
        "collation": column.collation,
        "precision": column.precision,
        "scale": column.scale,
        "generated": column.generated or None,
        "auto_increment": column.auto_increment or None,
        "system_time": column.system_time,
    }
    return record | {name: value for name, value in optional.items() if value is not None}


def read_snapshot(fields: Fields) -> Snapshot:
    """The snapshot that a manifest's content describes.  Raises SnapshotUnusable."""
    binlog = fields.object("binlog")
    tables = tuple(_read_table(table) for table in fields.objects("tables"))
    _check_distinct(fields, tables)
    return Snapshot(
        id=fields.text("id"),
        name=fields.optional_text("name"),
        created=fields.number("created"),
        finished=fields.number("finished"),
        server=_read_server(fields.object("server")),
        lock=fields.text("lock"),
        binlog=BinlogPosition(
            file=binlog.optional_text("file"),
            position=binlog.optional_integer("position"),
            gtid=binlog.optional_text("gtid"),
        ),
        tables=tables,
        features=fields.texts("features"),
        hints=fields.texts("hints"),
        tool_version=fields.text("tool_version"),
        session=fields.mapping("session"),
    )


def _check_distinct(fields: Fields, tables: Sequence[TableEntry]) -> None:
    named = {entry.definition.table for entry in tables}
    folders = {entry.path for entry in tables}
    if len(named) != len(tables) or len(folders) != len(tables):
        fields.refuse("tables", "naming a table or a folder twice")


def _read_server(fields: Fields) -> ServerInfo:
    version = fields.items("version")
    if len(version) != 3 or not all(isinstance(part, int) for part in version):
        fields.refuse("version", "not three integers")
    if fields.text("family") not in ("mysql", "mariadb"):
        fields.refuse("family", "neither mysql nor mariadb")
    return ServerInfo(
        family=fields.text("family"),
        version=(version[0], version[1], version[2]),
        version_text=fields.text("version_text"),
        uuid=fields.text("uuid"),
        started_at=fields.integer("started_at"),
        hostname=fields.text("hostname"),
        port=fields.integer("port", most=65535),
    )


def _read_table(fields: Fields) -> TableEntry:
    path, chunks = fields.path("path"), fields.object("chunks")
    chunks_path = chunks.path("path")
    if not chunks_path.startswith(f"{path}/"):
        chunks.refuse("path", "not in the table's folder")
    return TableEntry(
        definition=_read_definition(fields),
        path=path,
        chunks_path=chunks_path,
        chunks_sha256=chunks.hex_digest("sha256"),
        chunk_count=chunks.integer("count"),
        digest=read_digest(fields),
        wire_bytes=fields.integer("wire_bytes"),
        file_bytes=fields.integer("file_bytes"),
        largest_row=fields.integer("largest_row"),
        where=fields.optional_text("where"),
        reused=_read_reused(fields),
        tablespace=read_tablespace(fields, path),
    )


def _read_reused(fields: Fields) -> Reused | None:
    if not fields.has("reused"):
        return None
    found = fields.object("reused")
    return Reused(found.text("base"), found.integer("chunks"), found.integer("file_bytes"))


def _read_definition(fields: Fields) -> TableDef:
    columns = tuple(_read_column(column) for column in fields.objects("columns"))
    key = None
    if fields.has("key"):
        parts = fields.object("key")
        key = Key(
            parts.text("name"),
            tuple(
                KeyColumn(part.text("name"), part.flag("descending"))
                for part in parts.objects("columns")
            ),
            parts.flag("nullable"),
        )
        if not key.columns or not {part.name for part in key.columns} <= {c.name for c in columns}:
            fields.refuse("key", "not made of the table's columns")
    return TableDef(
        table=TableName(fields.text("schema"), fields.text("name")),
        create_sql=fields.text("create_sql"),
        columns=columns,
        key=key,
        engine=fields.text("engine"),
        collation=fields.text("collation"),
        identity=fields.text("identity"),
        estimated_rows=fields.integer("estimated_rows"),
        estimated_bytes=fields.integer("estimated_bytes"),
        triggers=fields.texts("triggers"),
        trigger_settings=_read_trigger_settings(fields),
        auto_increment=fields.optional_integer("auto_increment", most=2**64 - 1),
        sequence=fields.flag("sequence"),
    )


def _read_trigger_settings(fields: Fields) -> tuple[TriggerSettings, ...]:
    """One for each trigger; none in a manifest that does not record them."""
    if not fields.has("trigger_settings"):
        return ()
    settings = tuple(
        TriggerSettings(one.text("sql_mode"), one.text("charset"), one.text("collation"))
        for one in fields.objects("trigger_settings")
    )
    if settings and len(settings) != len(fields.texts("triggers")):
        fields.refuse("trigger_settings", "not one for each trigger")
    return settings


def _read_column(fields: Fields) -> Column:
    column = Column(
        name=fields.text("name"),
        column_type=fields.text("mysql_type"),
        data_type=fields.text("data_type"),
        nullable=fields.flag("nullable"),
        charset=fields.optional_text("charset"),
        collation=fields.optional_text("collation"),
        precision=fields.optional_integer("precision"),
        scale=fields.optional_integer("scale"),
        generated=fields.flag("generated"),
        auto_increment=fields.flag("auto_increment"),
        system_time=fields.optional_text("system_time"),
    )
    digits, scale = column.precision or 255, column.scale or 0
    if fields.optional_text("kind") != _kind(column) or not scale <= digits <= 255:
        fields.refuse("kind", "not what this version makes of the column's type")
    return column


def _kind(column: Column) -> str | None:
    try:
        return None if column.generated else spec_of(column).kind.value
    except Unsupported:
        return None
