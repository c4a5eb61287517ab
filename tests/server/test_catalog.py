"""Tables found by name, refused by name, described; and told apart when they are swapped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tablevault.errors import CannotComplete, Unsupported, UsageError
from tablevault.model import KeyColumn, TableName
from tablevault.mysql import catalog, ddl
from tablevault.mysql.connect import Connection, connect
from tests.servers import Server


@pytest.fixture
def conn(server: Server, database: str) -> Iterator[Connection]:
    with connect(server.options()) as conn:
        conn.execute(f"USE `{database}`")
        yield conn


def create(conn: Connection, *statements: str) -> None:
    for statement in statements:
        conn.execute(statement)


def names(tables: list[TableName]) -> list[str]:
    return [table.name for table in tables]


def test_resolve(conn: Connection, database: str) -> None:
    create(
        conn,
        "CREATE TABLE orders (id INT PRIMARY KEY)",
        "CREATE TABLE order_lines (id INT PRIMARY KEY)",
        "CREATE TABLE `odd.na``me*` (id INT PRIMARY KEY)",
        "CREATE TABLE _tv_old_0123abcd_orders (id INT PRIMARY KEY)",
        "CREATE VIEW order_view AS SELECT * FROM orders",
    )

    def resolve(*patterns: str) -> list[str]:
        return names(catalog.resolve_tables(conn, patterns, database))

    assert resolve("orders") == ["orders"]
    assert resolve(f"{database}.order*") == ["order_lines", "orders"]
    assert resolve(f"`{database}`.`orders`", "orders", "order?") == ["orders"]
    assert resolve("`odd.na``me*`") == ["odd.na`me*"]
    assert resolve("*") == ["odd.na`me*", "order_lines", "orders"]
    assert resolve("_tv_old_0123abcd_orders") == ["_tv_old_0123abcd_orders"]
    assert resolve("*", "!order*") == ["odd.na`me*"]
    assert resolve("!`odd.na``me*`", f"{database}.*", f"!{database}.none") == [
        "order_lines",
        "orders",
    ]
    with pytest.raises(UsageError, match="no table is left of orders !order"):
        resolve("orders", "!order*")
    everything = catalog.resolve_tables(conn)
    assert TableName(database, "orders") in everything
    assert not {"mysql", "information_schema", "sys"} & {t.schema for t in everything}


@pytest.mark.parametrize(
    ("pattern", "message", "hint"),
    [
        ("{db}.ordrs", "no table {db}.ordrs on the server", "did you mean {db}.orders"),
        ("{db}.x*", "no table matches", "see SHOW TABLES"),
        ("no_such_db.orders", "no table no_such_db.orders", "its schema does not exist"),
        ("{db}.order_view", "{db}.order_view is a view, not a table", "hold the data"),
        ("orders", "table 'orders' has no schema", "schema.orders"),
        ("a.b.c", "not a table name: 'a.b.c'", "backticks"),
        ("{db}.", "not a table name", "schema.table"),
        ("", "not a table name", "schema.table"),
        ("{db}.`orders", "not a table name", "schema.table"),
        ("{db}.`order*`", "no table {db}.order*", "did you mean"),
    ],
)
def test_resolve_refuses(
    conn: Connection, database: str, pattern: str, message: str, hint: str
) -> None:
    create(
        conn,
        "CREATE TABLE orders (id INT PRIMARY KEY)",
        "CREATE VIEW order_view AS SELECT * FROM orders",
    )
    with pytest.raises(UsageError) as failure:
        catalog.resolve_tables(conn, [pattern.replace("{db}", database)])
    assert message.replace("{db}", database) in failure.value.message
    assert hint.replace("{db}", database) in (failure.value.hint or "")


def test_no_privilege(server: Server, conn: Connection, database: str) -> None:
    create(conn, "CREATE TABLE orders (id INT PRIMARY KEY)")
    server.sql(
        "DROP USER IF EXISTS tv_poor@'%'; CREATE USER tv_poor@'%' IDENTIFIED BY 'pw1!Xy'; "
        f"GRANT INSERT ON `{database}`.* TO tv_poor@'%';"
    )
    try:
        with connect(server.options(user="tv_poor", password="pw1!Xy")) as poor:
            with pytest.raises(CannotComplete, match=r"may not read column `id` of .*orders"):
                catalog.table_definition(poor, TableName(database, "orders"))
            server.sql(f"REVOKE INSERT ON `{database}`.* FROM tv_poor@'%'")
        with connect(server.options(user="tv_poor", password="pw1!Xy")) as poor:
            with pytest.raises(UsageError, match=rf"may not read {database}\.orders"):
                catalog.resolve_tables(poor, [f"{database}.orders"])
            server.sql(f"GRANT SELECT ON `{database}`.* TO tv_poor@'%'")
        with connect(server.options(user="tv_poor", password="pw1!Xy")) as poor:
            # without PROCESS the time of creation stands in for InnoDB's ids
            definition = catalog.table_definition(poor, TableName(database, "orders"))
            assert definition.identity.startswith("created:")
    finally:
        server.sql("DROP USER tv_poor@'%'")


def test_definition(conn: Connection, database: str) -> None:
    create(
        conn,
        "CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT, s VARCHAR(9) CHARSET latin1, "
        "dt DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), de DECIMAL(9,2), "
        "g INT AS (id2 + 1) STORED, id2 INT NOT NULL DEFAULT 5, j JSON, PRIMARY KEY (id)) "
        "AUTO_INCREMENT=17 CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        "INSERT INTO t (id) VALUES (40)",
        "CREATE TRIGGER first_one BEFORE INSERT ON t FOR EACH ROW SET NEW.s = 'a;b'",
        "CREATE TRIGGER other AFTER DELETE ON t FOR EACH ROW BEGIN END",
    )
    found = catalog.table_definition(conn, TableName(database, "t"))
    columns = {column.name: column for column in found.columns}
    assert list(columns) == ["id", "s", "dt", "de", "g", "id2", "j"]
    assert (columns["s"].charset, columns["s"].collation) == ("latin1", "latin1_swedish_ci")
    assert columns["dt"].scale == 3 and not columns["dt"].generated
    assert (columns["de"].precision, columns["de"].scale) == (9, 2)
    assert columns["g"].generated and not columns["id2"].generated
    assert columns["id"].auto_increment and not columns["id"].nullable and columns["j"].nullable
    assert columns["j"].data_type == ("json" if conn.server.family == "mysql" else "longtext")
    assert found.key is not None and found.key.name == "PRIMARY"
    assert found.auto_increment == 41
    assert (found.engine, found.collation) == ("InnoDB", "utf8mb4_bin")
    assert found.identity.startswith("innodb:")
    assert ddl.parse(found.create_sql).name == "t"
    assert sorted("first_one" in text for text in found.triggers) == [False, True]
    assert all(text.upper().startswith("CREATE DEFINER=") for text in found.triggers)


@pytest.mark.parametrize(
    ("body", "key", "columns"),
    [
        ("a INT, b INT", None, ()),
        ("a INT PRIMARY KEY, b INT NOT NULL UNIQUE", "PRIMARY", ("a",)),
        ("a INT UNIQUE, b INT NOT NULL, UNIQUE KEY second (b)", "second", ("b",)),
        ("a TEXT, PRIMARY KEY (a(9)), b INT NOT NULL, UNIQUE u (b)", "u", ("b",)),
        ("a DOUBLE PRIMARY KEY", None, ()),
        ("a SET('x') PRIMARY KEY, b CHAR(9) NOT NULL, UNIQUE u (b)", "u", ("b",)),
        (
            "a INT NOT NULL, b INT NOT NULL, c CHAR(9) NOT NULL, UNIQUE ab (a, b), UNIQUE c (c), "
            "UNIQUE b (b)",
            *("b", ("b",)),
        ),
        ("a VARCHAR(99) NOT NULL, UNIQUE prefix (a(5))", None, ()),
        ("a INT NOT NULL, g INT AS (a + 1) STORED NOT NULL, UNIQUE g (g)", None, ()),
    ],
)
def test_key_choice(
    conn: Connection, database: str, body: str, key: str | None, columns: tuple[str, ...]
) -> None:
    if "NOT NULL, UNIQUE g" in body and conn.server.family == "mariadb":
        body = body.replace(" STORED NOT NULL", " STORED")
    create(conn, f"CREATE TABLE t ({body})")
    found = catalog.table_definition(conn, TableName(database, "t")).key
    assert (found.name if found else None) == key
    assert found is None or found.columns == tuple(KeyColumn(name) for name in columns)


def test_key_that_force_index_may_not_name(conn: Connection, database: str) -> None:
    hidden = "INVISIBLE" if conn.server.family == "mysql" else "IGNORED"
    # the primary key is of no use for ranges, and FORCE INDEX fails on a hidden one
    body = f"x DOUBLE PRIMARY KEY, a INT NOT NULL, UNIQUE KEY a (a) {hidden}"
    create(conn, f"CREATE TABLE t ({body})")
    assert catalog.table_definition(conn, TableName(database, "t")).key is None


def test_the_key_of_a_versioned_table_ends_with_row_end(mariadb: Server, database: str) -> None:
    with connect(mariadb.options()) as conn:
        create(
            conn,
            f"USE `{database}`",
            "CREATE TABLE t (id INT PRIMARY KEY) WITH SYSTEM VERSIONING",
        )
        found = catalog.table_definition(conn, TableName(database, "t"))
    assert [column.name for column in found.columns] == ["id", "row_start", "row_end"]
    assert found.key is not None
    assert [part.name for part in found.key.columns] == ["id", "row_end"]


def test_refused_by_name(server: Server, conn: Connection, database: str) -> None:
    with pytest.raises(CannotComplete, match=r"no_such is gone"):
        catalog.table_definition(conn, TableName(database, "no_such"))
    if server.family == "mysql":
        return
    create(
        conn,
        "CREATE TABLE history (id INT PRIMARY KEY, "
        "s BIGINT UNSIGNED GENERATED ALWAYS AS ROW START, "
        "e BIGINT UNSIGNED GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) "
        "WITH SYSTEM VERSIONING",
        "CREATE VIEW shown AS SELECT 1 AS one",
    )
    with pytest.raises(Unsupported, match=r"history is system-versioned by transaction ids"):
        catalog.table_definition(conn, TableName(database, "history"))
    with pytest.raises(UsageError, match="shown is a view, not a table"):
        catalog.resolve_tables(conn, [f"{database}.shown"])


SWAP = "RENAME TABLE t TO x, u TO t, x TO u"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (SWAP, False),
        ("ALTER TABLE t RENAME COLUMN v TO w", False),
        ("ALTER TABLE t DROP INDEX v", False),
        ("ALTER TABLE t ADD COLUMN n INT, ALGORITHM=INSTANT", False),
        ("TRUNCATE TABLE t", False),
        ("ALTER TABLE t COMMENT 'new'", False),
        ("ALTER TABLE p REORGANIZE PARTITION b INTO (PARTITION b VALUES LESS THAN (99))", False),
        ("INSERT INTO t VALUES (7, 7)", True),
        ("ANALYZE TABLE t", True),
    ],
)
def test_ddl_is_noticed(conn: Connection, database: str, change: str, same: bool) -> None:
    create(
        conn,
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT, KEY v (v))",
        "CREATE TABLE u LIKE t",
        "CREATE TABLE p (id INT PRIMARY KEY) PARTITION BY RANGE (id) "
        "(PARTITION a VALUES LESS THAN (9), PARTITION b VALUES LESS THAN (20))",
    )
    tables = [TableName(database, name) for name in ("t", "p")]
    before = catalog.identity_now(conn, tables)
    definitions = catalog.table_definitions(conn, tables)
    assert {d.table: (d.identity, ddl.normalise(d.create_sql)) for d in definitions} == before
    create(conn, change)
    assert (catalog.identity_now(conn, tables) == before) is same


def test_dropped_tables_have_no_identity(conn: Connection, database: str) -> None:
    create(conn, "CREATE TABLE t (id INT PRIMARY KEY)")
    tables = [TableName(database, "t"), TableName(database, "gone")]
    assert list(catalog.identity_now(conn, tables)) == tables[:1]


def test_odd_names_have_ids(conn: Connection, database: str) -> None:
    odd = ["a b", "x#P#y", "q`'\"", "日本", "n" * 64, "sla/sh"]
    for name in odd:
        create(conn, f"CREATE TABLE `{name.replace('`', '``')}` (id INT PRIMARY KEY, v INT)")
    tables = [TableName(database, name) for name in odd]
    found = catalog.table_definitions(conn, tables)
    assert [d.table for d in found] == tables
    assert all(d.identity.startswith("innodb:") for d in found)
    assert len({d.identity for d in found}) == len(odd)


def test_many_tables_cost_few_statements(conn: Connection, database: str) -> None:
    for number in range(60):
        create(conn, f"CREATE TABLE many_{number:02} (id INT PRIMARY KEY)")
    tables = catalog.resolve_tables(conn, [f"{database}.many*"])
    before = int((conn.one("SHOW SESSION STATUS LIKE 'Questions'") or (b"", b"0"))[1] or 0)
    assert len(catalog.table_definitions(conn, tables)) == 60
    after = int((conn.one("SHOW SESSION STATUS LIKE 'Questions'") or (b"", b"0"))[1] or 0)
    assert after - before <= 60 + 8
