"""The manifest: it reads back as written, and nothing in it is taken on trust."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tablevault.errors import SnapshotUnusable
from tablevault.model import (
    BinlogPosition,
    Column,
    Key,
    KeyColumn,
    Snapshot,
    TableName,
    TriggerSettings,
)
from tablevault.vault.chunklist import read_chunks
from tablevault.vault.manifest import (
    content_checksum,
    decode_manifest,
    encode_manifest,
    load_manifest,
    write_manifest,
)
from tablevault.vault.store import LocalStore
from tests.unit.vaults import ID, Written, definition, snapshot_of, write_snapshot

Content = dict[str, Any]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    store = LocalStore(tmp_path_factory.mktemp("manifest") / "vault", create=True)
    return write_snapshot(store, rows=30)


def content(written: Written) -> Content:
    loaded: Content = json.loads(encode_manifest(written.snapshot))
    return copy.deepcopy(loaded)


def forged(content: Content) -> bytes:
    """The content by somebody who knows how to compute the checksum."""
    content["checksum"] = content_checksum(content)
    return json.dumps(content).encode()


def test_it_reads_back_as_written(written: Written) -> None:
    assert load_manifest(written.store, ID) == written.snapshot


def test_it_is_for_people_to_read(written: Written) -> None:
    text = written.store.read(f"{ID}/manifest.json").decode()
    assert text.splitlines()[1].startswith(' "binlog"')
    assert list(json.loads(text)) == sorted(json.loads(text))
    found = json.loads(text)["tables"][0]
    assert (found["schema"], found["name"], found["rows"]) == ("shop", "orders", 30)
    assert found["digest"] == str(written.entry.digest.total)
    assert [column.get("kind") for column in found["columns"]] == [
        "int",
        "text",
        "decimal",
        "datetime",
        "long_text",
        None,
    ]


def test_strange_values_read_back(written: Written) -> None:
    columns = (
        Column('q"`\n\N{SNOWMAN}', "decimal(65,30)", "decimal", False, precision=65, scale=30),
        Column("id", "varchar(3)", "varchar", False, "utf8mb4", "utf8mb4_bin"),
    )
    table = replace(
        definition(columns, Key('k"', (KeyColumn("id", descending=True),))),
        table=TableName("a/b", "\N{SNOWMAN}" * 64),
        create_sql="CREATE TABLE `x` COMMENT '\udcff\x00'",
        triggers=("CREATE TRIGGER a", "CREATE TRIGGER b"),
        trigger_settings=(
            TriggerSettings("ANSI_QUOTES", "utf8mb4", "utf8mb4_general_ci"),
            TriggerSettings("", "latin1", "latin1_swedish_ci"),
        ),
        auto_increment=2**64 - 1,
    )
    entry = replace(written.entry, definition=table, where="id > '\n'")
    snapshot = replace(
        snapshot_of([entry], name=None), binlog=BinlogPosition(), hints=(), session={}
    )
    assert decode_manifest(encode_manifest(snapshot), ID) == snapshot
    assert snapshot.partial


def test_a_snapshot_without_tables_reads_back() -> None:
    snapshot = snapshot_of([])
    assert decode_manifest(encode_manifest(snapshot), ID) == snapshot


def test_a_snapshot_that_would_not_read_back_is_not_written(
    tmp_path: Path, written: Written
) -> None:
    store = LocalStore(tmp_path)
    twice = replace(written.snapshot, tables=written.snapshot.tables * 2)
    with pytest.raises(SnapshotUnusable, match="naming a table or a folder twice"):
        write_manifest(store, twice)
    assert list(store.list(ID)) == []


def test_any_byte_changed_by_hand_is_noticed(written: Written) -> None:
    """All but white space between the fields, which carries nothing."""
    text = encode_manifest(written.snapshot)
    positions = [place for place in range(len(text)) if not text[place : place + 1].isspace()]
    for place in random.Random(1).sample(positions, 400):
        for bit in (1, 2, 16):
            changed = bytearray(text)
            changed[place] ^= bit
            with pytest.raises(SnapshotUnusable):
                decode_manifest(bytes(changed), ID)


def test_a_hand_edit_says_so(written: Written) -> None:
    edited = content(written)
    edited["tables"][0]["rows"] = 29
    with pytest.raises(SnapshotUnusable, match=f"manifest of snapshot {ID} was changed") as caught:
        decode_manifest(json.dumps(edited).encode(), ID)
    assert caught.value.exit_code == 6
    assert caught.value.hint is not None


def test_reformatting_and_unknown_fields_do_no_harm(written: Written) -> None:
    known = content(written)
    assert decode_manifest(json.dumps(known, indent=8).encode(), ID) == written.snapshot
    known["new in a later version"] = 1
    known["tables"][0]["also"] = {}
    assert decode_manifest(forged(known), ID) == written.snapshot


def test_a_future_version_is_refused_by_number_before_its_checksum(written: Written) -> None:
    future = content(written)
    future["format"] = 2
    with pytest.raises(
        SnapshotUnusable, match="has format 2; this version reads up to 1"
    ) as caught:
        decode_manifest(json.dumps(future).encode(), ID)
    assert caught.value.hint == "upgrade tablevault"


def test_an_unknown_feature_is_refused_by_name(written: Written) -> None:
    future = content(written)
    future["features"] = ["encryption"]
    with pytest.raises(SnapshotUnusable, match="a feature unknown to this version: encryption"):
        decode_manifest(json.dumps(future).encode(), ID)


def test_a_manifest_of_another_snapshot_is_refused(written: Written) -> None:
    with pytest.raises(SnapshotUnusable, match=f"manifest of snapshot other is that of {ID}"):
        decode_manifest(encode_manifest(written.snapshot), "other")


def put(path: str, value: object) -> Callable[[Content], None]:
    """An edit: `tables.0.path` becomes `value`."""

    def edit(content: Content) -> None:
        *folders, last = path.split(".")
        place: Any = content
        for step in folders:
            place = place[int(step)] if step.isdecimal() else place[step]
        if isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value

    return edit


FILE = {"path": "shop/orders/x", "size": 5, "sha256": "0" * 64}
KEPT = {"tablespace_bytes": 65536, "data": FILE, "blocks": FILE, "cfg": FILE}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (put("tables.0.path", "../outside"), "path outside the vault"),
        (put("tables.0.path", "/etc"), "path outside the vault"),
        (put("tables.0.chunks.path", "shop/orders/../../../x"), "path outside the vault"),
        (put("tables.0.chunks.path", "shop/other/chunks.jsonl"), "not in the table's folder"),
        (put("tables.0.chunks.sha256", "00"), r"tables\[0\]\.chunks\.sha256 is not a SHA-256"),
        (put("tables.0.chunks.count", -1), "count is not an integer"),
        (put("tables.0.chunks", None), "chunks is not an object"),
        (put("tables.0.rows", "30"), "rows is not an integer"),
        (put("tables.0.rows", 31), "hashed is not the number of rows"),
        (put("tables.0.digest", 5), "digest is not a string"),
        (put("tables.0.where", 5), "where is not a string"),
        (put("tables.0.create_sql", None), "create_sql is not a string"),
        (put("tables.0.triggers", ["a", 1]), "triggers is not a list of strings"),
        (put("tables.0.trigger_settings", [{"sql_mode": ""}]), "charset is not a string"),
        (
            put("tables.0.trigger_settings", [{"sql_mode": "", "charset": "", "collation": ""}]),
            "trigger_settings is not one for each trigger",
        ),
        (put("tables.0.tablespace", 5), "tablespace is not an object"),
        (put("tables.0.tablespace", KEPT | {"cfg": None}), "tablespace.cfg is not an object"),
        (put("tables.0.tablespace", KEPT | {"tablespace_bytes": 0}), "bytes is not an integer"),
        (put("tables.0.tablespace", KEPT | {"data": FILE | {"sha256": ""}}), "not a SHA-256"),
        (put("tables.0.tablespace", KEPT | {"data": FILE | {"path": "../x"}}), "outside the vault"),
        (put("tables.0.tablespace", KEPT | {"cfg": FILE | {"path": "a/b"}}), "not in the table's"),
        (put("tables.0.columns.0", "id"), r"columns\[0\] is not an object"),
        (put("tables.0.columns.0.kind", "text"), "kind is not what this version makes"),
        (put("tables.0.columns.0.data_type", "mystery"), "kind is not what this version makes"),
        (put("tables.0.columns.2.precision", 10**9), "kind is not what this version makes"),
        (put("tables.0.columns.2.scale", 40), "kind is not what this version makes"),
        (put("tables.0.columns.0.nullable", "no"), "nullable is not true or false"),
        (put("tables.0.key.columns.0.name", "other"), "key is not made of the table's columns"),
        (put("tables.0.key.columns", []), "key is not made of the table's columns"),
        (put("tables.0.auto_increment", 2**64), "auto_increment is not an integer"),
        (put("tables", {}), "tables is not a list"),
        (put("server", []), "server is not an object"),
        (put("server.version", [10, 11]), "version is not three integers"),
        (put("server.family", "oracle"), "family is neither"),
        (put("server.port", 70000), "port is not an integer"),
        (put("binlog.position", "4"), "position is not an integer"),
        (put("created", True), "created is not a number"),
        (put("session", {"a": 1}), "session is not an object of strings"),
        (put("hints", "a"), "hints is not a list"),
        (put("features", [1]), "features is not a list of strings"),
        (put("format", "1"), "format is not an integer"),
        (put("format", 0), "format is not an integer"),
        (put("id", "../x"), "is that of"),
    ],
)
def test_every_field_of_a_forged_manifest_is_checked(
    written: Written, edit: Callable[[Content], None], message: str
) -> None:
    edited = content(written)
    edit(edited)
    with pytest.raises(SnapshotUnusable, match=message) as caught:
        decode_manifest(forged(edited), ID)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"\xff", b'{"format": NaN}', b"[" * 100_000, b'{"format": ' + b"9" * 9999],
    ids=["empty", "cut", "list", "no utf-8", "nan", "deep", "long"],
)
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(SnapshotUnusable, match=f"manifest of snapshot {ID}"):
        decode_manifest(text, ID)


def test_no_field_may_be_missing(written: Written) -> None:
    optional = {
        "name",
        "reused",
        "tablespace",
        "hints",
        "features",
        "partial",
        "where",
        "triggers",
        "trigger_settings",
        "auto_increment",
        "key",
        "sequence",
    }
    whole = content(written)
    for name in set(whole) - optional - {"checksum"}:
        less = content(written)
        del less[name]
        with pytest.raises(SnapshotUnusable, match=name):
            decode_manifest(forged(less), ID)
    for name in set(whole["tables"][0]) - optional:
        less = content(written)
        del less["tables"][0][name]
        with pytest.raises(SnapshotUnusable, match=name):
            decode_manifest(forged(less), ID)


def test_a_forged_manifest_cannot_lead_the_chunk_list_astray(written: Written) -> None:
    """Totals in the manifest and in the list must agree, whoever wrote them."""
    edited = content(written)
    edited["tables"][0].update(rows=29, hashed=29)
    snapshot: Snapshot = decode_manifest(forged(edited), ID)
    with pytest.raises(SnapshotUnusable, match="adds up to other rows than the manifest: 30, 29"):
        list(read_chunks(written.store, ID, snapshot.tables[0]))
