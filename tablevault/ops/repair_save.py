"""What a repair will overwrite or delete, saved first: a small snapshot in the same vault.

It holds whole rows as they are now, in the usual format, so that `list`, `show`, `verify` and
`restore --as` know it; a feature in its manifest says that it holds some of the rows only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tablevault
from tablevault.engine.plan import DEFAULT_CHUNK_BYTES
from tablevault.model import SOME_ROWS, BinlogPosition, Snapshot, TableEntry
from tablevault.mysql import session as sessions
from tablevault.mysql import sql_repair
from tablevault.mysql.connect import Connection
from tablevault.mysql.source import RowSource
from tablevault.names import run_mark
from tablevault.ops.reading import stream_chunks
from tablevault.ops.repair_check import Patient
from tablevault.ops.repair_terms import MISSING, Batch
from tablevault.rows.kinds import specs_of
from tablevault.vault.catalog import begin_snapshot, moment, unused_snapshot_id
from tablevault.vault.chunk import ChunkWriter
from tablevault.vault.chunklist import write_chunk_list
from tablevault.vault.records import features_of
from tablevault.vault.store import Store


def save_rows(
    conn: Connection,
    store: Store,
    run: str,
    of_snapshot: str,
    patients: Sequence[Patient],
    batches: Sequence[Batch],
) -> str | None:
    """Write the snapshot; its id, or None when nothing will be overwritten."""
    spans = {
        patient.comparison.number: max(
            (one.stop for one in batches if one.table == patient.comparison.number), default=0
        )
        for patient in patients
    }
    overwriting = {one.table for one in batches if one.what != MISSING}
    chosen = [patient for patient in patients if patient.comparison.number in overwriting]
    if not chosen:
        return None
    name = f"before-repair-{run_mark(run)}"
    snapshot_id = unused_snapshot_id(store, name)
    began = moment()
    with begin_snapshot(store, snapshot_id) as writing:
        entries = [
            _save(conn, store, snapshot_id, patient, spans[patient.comparison.number])
            for patient in chosen
        ]
        writing.commit(
            Snapshot(
                id=snapshot_id,
                name=name,
                created=began,
                finished=moment(),
                server=conn.server,
                lock="none",
                binlog=BinlogPosition(),
                tables=tuple(entries),
                features=(*features_of(entries), SOME_ROWS),
                hints=(f"rows that repair {run} from {of_snapshot} was about to overwrite",),
                tool_version=tablevault.__version__,
                session=sessions.digest_settings(conn.session),
            )
        )
    return snapshot_id


def _save(
    conn: Connection, store: Store, snapshot_id: str, patient: Patient, stop: int
) -> TableEntry:
    # in no order, so without a key: it is read and proven as a whole
    definition = dataclasses.replace(patient.comparison.live, key=None)
    specs = specs_of(definition.table, definition.columns, conn.server.family)
    statement = sql_repair.saved_rows(patient.sides, specs, (0, stop))
    source = RowSource(conn, statement, specs)

    def new_file(index: int) -> ChunkWriter:
        return ChunkWriter(store, snapshot_id, definition, specs, index=index)

    chunks = stream_chunks(source, new_file, DEFAULT_CHUNK_BYTES)
    return write_chunk_list(store, snapshot_id, definition, chunks)
