"""Which tablespaces can be copied, and why the others cannot: asked of the servers themselves."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tablevault.model import TableName
from tablevault.mysql import catalog, tablespaces
from tablevault.mysql.connect import connect
from tests.servers import Server

PLAIN = "(id INT PRIMARY KEY, v VARCHAR(20), KEY (v))"
CASES = {
    f"t {PLAIN}": None,
    f"`a b-c` {PLAIN}": None,
    f"compact {PLAIN} ROW_FORMAT=COMPACT": None,
    f"redundant {PLAIN} ROW_FORMAT=REDUNDANT": None,
    f"words {PLAIN} COMMENT 'PARTITION BY ENCRYPTION=''Y'' FULLTEXT'": None,
    "named (id INT PRIMARY KEY, `FULLTEXT` INT, KEY `PARTITION` (`FULLTEXT`))": None,
    f"old {PLAIN} ENGINE=MyISAM": "its engine is MyISAM",
    f"small {PLAIN} ROW_FORMAT=COMPRESSED": "its row format is COMPRESSED",
    "spots (id INT PRIMARY KEY, p POINT NOT NULL, SPATIAL KEY at (p))": "its index `at` is SPATIAL",
    "texts (id INT PRIMARY KEY, v TEXT, FULLTEXT KEY words (v))": "its index `words` is FULLTEXT",
    "parts (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2": "it is partitioned",
}
MARIADB = {
    f"pages {PLAIN} PAGE_COMPRESSED=1": "its pages are compressed",
    f"unpacked {PLAIN} PAGE_COMPRESSED=0": None,
    f"`a b-ü` {PLAIN}": None,
    f"versioned {PLAIN} WITH SYSTEM VERSIONING": None,
}
MYSQL = {
    f"`a b-ü` {PLAIN}": "which file is its cannot be seen: it takes PROCESS, and names in ASCII",
    f"pages {PLAIN} COMPRESSION='zlib'": "its pages are compressed",
    f"unpacked {PLAIN} COMPRESSION='none'": None,
    f"plain {PLAIN} ENCRYPTION='N'": None,
    f"own {PLAIN} TABLESPACE=innodb_file_per_table": None,
    f"shared {PLAIN} TABLESPACE=innodb_system": "it has no file of its own (innodb_file_per_table)",
}


def find(server: Server, database: str, **options: str) -> tablespaces.Found:
    with connect(server.options(**options)) as conn:
        tables = catalog.resolve_tables(conn, [f"{database}.*"])
        return tablespaces.find(conn, catalog.table_definitions(conn, tables))


def test_each_table_has_a_file_or_a_reason(server: Server, database: str) -> None:
    cases = CASES | (MYSQL if server.family == "mysql" else MARIADB)
    for text in cases:
        server.sql(f"CREATE TABLE {text}", database)
    found = find(server, database)
    wanted = {
        TableName(database, text.split("`")[1] if text[0] == "`" else text.split(" ")[0]): reason
        for text, reason in cases.items()
    }
    assert dict(found.reasons) == {table: why for table, why in wanted.items() if why}
    files = {one.table: one for one in found.tablespaces}
    assert files.keys() == {table for table, why in wanted.items() if why is None}
    folder = PurePosixPath(server.value("SELECT @@datadir") or "") / database
    plain = files[TableName(database, "t")]
    assert (plain.file, plain.cfg) == (folder / "t.ibd", folder / "t.cfg")
    assert files[TableName(database, "a b-c")].file == folder / "a@0020b@002dc.ibd"
    assert plain.row_format == "Dynamic"
    assert len({one.space_id for one in files.values()} - {0}) == len(files)


def test_without_process_it_says_what_it_takes(server: Server, database: str) -> None:
    server.sql(f"CREATE TABLE t {PLAIN}", database)
    server.sql(
        "DROP USER IF EXISTS few; CREATE USER few IDENTIFIED BY 'pw';"
        f"GRANT SELECT ON `{database}`.* TO few"
    )
    try:
        found = find(server, database, user="few", password="pw")
    finally:
        server.sql("DROP USER few")
    assert found.tablespaces == ()
    assert "it takes PROCESS" in found.reasons[TableName(database, "t")]


def test_a_file_elsewhere_is_none_of_the_data_directory(
    mariadb: Server, database: str, tmp_path: Path
) -> None:
    """On MySQL that takes a setting of the server, innodb_directories."""
    server, folder = mariadb, tmp_path / "elsewhere"
    folder.mkdir(mode=0o777)
    server.sql(f"CREATE TABLE t {PLAIN} DATA DIRECTORY='{folder}'", database)
    found = find(server, database)
    assert found.reasons == {TableName(database, "t"): "its file lies outside the data directory"}
