"""The swap among foreign keys: children, parents, itself, cycles, several, other schemas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tablevault.errors import CannotComplete
from tests.servers import Server
from tests.support.cutover import FAMILY, Cut, definitions, key_to, own_tables, staged


@pytest.fixture
def family(server: Server, database: str) -> str:
    server.sql(FAMILY, database)
    return database


@pytest.fixture
def elsewhere(server: Server, database: str) -> Iterator[str]:
    """Another schema, gone before the first one."""
    name = f"{database}_b"
    server.sql(f"DROP DATABASE IF EXISTS `{name}`; CREATE DATABASE `{name}`")
    yield name
    server.sql(f"DROP DATABASE IF EXISTS `{name}`")


def refused(server: Server, schema: str, statement: str) -> bool:
    """Whether a foreign key refuses a statement."""
    try:
        server.sql(statement, schema)
    except AssertionError as error:
        assert "foreign key constraint fails" in str(error), error
        return True
    return False


def check_alive(server: Server, schema: str) -> None:
    """Every foreign key of the family does what it says, to the tables that are live."""
    assert refused(server, schema, "INSERT INTO orders (customer) VALUES (77)")
    assert refused(server, schema, "INSERT INTO customer (country) VALUES ('xx')")
    assert refused(server, schema, "INSERT INTO customer (boss) VALUES (77)")
    assert refused(server, schema, "INSERT INTO orders (name, customer) VALUES ('bob', 1)")
    server.sql("INSERT INTO customer (id, name) VALUES (50, 'eve')", schema)
    server.sql("INSERT INTO orders (id, customer, name) VALUES (50, 50, 'eve')", schema)
    server.sql("UPDATE orders SET name = NULL WHERE id = 50", schema)
    server.sql("DELETE FROM customer WHERE id = 50", schema)
    assert server.value("SELECT COUNT(*) FROM orders WHERE id = 50", schema) == "0"
    server.sql("UPDATE country SET code = 'gb' WHERE code = 'it'", schema)
    assert server.value("SELECT country FROM customer WHERE id = 3", schema) == "gb"
    server.sql("UPDATE country SET code = 'it' WHERE code = 'gb'", schema)


@pytest.mark.parametrize(
    "tables",
    [("customer",), ("orders",), ("customer", "orders"), ("country", "customer", "orders")],
    ids="+".join,
)
def test_foreign_keys_are_what_they_were(
    server: Server, vault: Path, family: str, tables: tuple[str, ...]
) -> None:
    before, keys = definitions(server, family), key_to(server, family)
    cut = Cut(server, vault, staged(server, vault, family, tables))
    server.sql("UPDATE customer SET touched = 9; UPDATE orders SET name = NULL", family)
    done = cut.swap()
    assert done.status == "swapped" and done.findings == ()
    assert definitions(server, family) == before
    assert key_to(server, family) == keys  # nothing references, or is of, a kept table
    check_alive(server, family)
    undone = cut.rollback()
    assert undone.status == "rolled back"
    assert definitions(server, family) == before
    assert key_to(server, family) == keys
    check_alive(server, family)
    cut.cleanup()
    assert own_tables(server, family) == []
    assert key_to(server, family) == keys


def test_children_in_other_schemas_follow(
    server: Server, vault: Path, family: str, elsewhere: str
) -> None:
    server.sql(
        f"""CREATE TABLE bill (id INT PRIMARY KEY, c INT, KEY (c),
              CONSTRAINT paid_by FOREIGN KEY (c) REFERENCES `{family}`.customer (id)
              ON DELETE CASCADE ON UPDATE SET NULL);
            INSERT INTO bill VALUES (1, 4)""",
        elsewhere,
    )
    before = definitions(server, elsewhere)
    cut = Cut(server, vault, staged(server, vault, family, ["customer"]))
    cut.swap()
    assert definitions(server, elsewhere) == before
    server.sql(f"DELETE FROM `{family}`.customer WHERE id = 4")
    assert server.value("SELECT COUNT(*) FROM bill", elsewhere) == "0"


def test_tables_that_reference_each_other(server: Server, vault: Path, database: str) -> None:
    server.sql(
        """CREATE TABLE a (id INT PRIMARY KEY, b INT, KEY (b));
           CREATE TABLE b (id INT PRIMARY KEY, a INT, KEY (a),
             CONSTRAINT b_to_a FOREIGN KEY (a) REFERENCES a (id));
           ALTER TABLE a ADD CONSTRAINT a_to_b FOREIGN KEY (b) REFERENCES b (id);
           INSERT INTO a VALUES (1, NULL); INSERT INTO b VALUES (1, 1); UPDATE a SET b = 1""",
        database,
    )
    before, keys = definitions(server, database), key_to(server, database)
    for tables in (["a"], ["b"], ["a", "b"]):
        cut = Cut(server, vault, staged(server, vault, database, tables))
        assert cut.swap().findings == ()
        assert (definitions(server, database), key_to(server, database)) == (before, keys)
        cut.rollback()
        assert (definitions(server, database), key_to(server, database)) == (before, keys)
        cut.cleanup()


def test_orphans_stop_the_swap_and_are_counted(server: Server, vault: Path, family: str) -> None:
    cut = Cut(server, vault, staged(server, vault, family, ["customer"]))
    server.sql(
        "INSERT INTO customer (id, name) VALUES (9, 'new');"
        "INSERT INTO orders (customer) VALUES (9), (9)",
        family,
    )
    before = definitions(server, family)
    with pytest.raises(CannotComplete, match=r"`orders_ibfk_1`.* 2 rows have no parent.*\(9\)"):
        cut.swap()
    assert definitions(server, family) == before
    assert server.value("SELECT COUNT(*) FROM customer", family) == "5"
    done = cut.swap(allow_orphans=True)
    assert done.status == "swapped" and done.findings == ()
    assert any("2 rows have no parent" in hint for hint in done.hints)
    assert done.tables[0].new_rows == 1
    assert any("1 rows are not in the snapshot" in hint for hint in done.hints)
    assert server.value("SELECT COUNT(*) FROM customer", family) == "4"


def test_a_parent_that_lost_rows_stops_the_swap(server: Server, vault: Path, family: str) -> None:
    cut = Cut(server, vault, staged(server, vault, family, ["customer"]))
    server.sql("UPDATE customer SET country = NULL; DELETE FROM country WHERE code = 'fr'", family)
    with pytest.raises(CannotComplete, match=r"`of_country`.* 1 row has no parent"):
        cut.swap()


def test_rows_carried_over_keep_their_children(server: Server, vault: Path, family: str) -> None:
    cut = Cut(server, vault, staged(server, vault, family, ["customer", "orders"]))
    server.sql(
        "INSERT INTO customer (id, name, boss) VALUES (9, 'new', 9);"
        "INSERT INTO orders (id, customer) VALUES (8, 9), (9, 1)",
        family,
    )
    done = cut.swap(keep_new=True)
    assert done.findings == ()
    assert [(t.new_rows, t.carried) for t in done.tables] == [(1, 1), (2, 2)]
    assert server.value("SELECT GROUP_CONCAT(id ORDER BY id) FROM orders", family) == "1,2,3,8,9"


def test_a_foreign_key_that_does_not_fit_any_more_is_refused(
    server: Server, vault: Path, database: str
) -> None:
    server.sql(
        """CREATE TABLE p (id INT PRIMARY KEY); CREATE TABLE c (id INT PRIMARY KEY, p INT);
           INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1)""",
        database,
    )
    cut = Cut(server, vault, staged(server, vault, database, ["p"]))
    server.sql(
        """ALTER TABLE p MODIFY id BIGINT; ALTER TABLE c MODIFY p BIGINT, ADD KEY (p),
             ADD CONSTRAINT wide FOREIGN KEY (p) REFERENCES p (id)""",
        database,
    )
    before = definitions(server, database)
    with pytest.raises(CannotComplete, match=r"`wide` of .* could not be made again"):
        cut.swap()
    assert definitions(server, database) == before
    assert len(own_tables(server, database)) == 1  # staging, and no trial table


def test_a_name_that_another_table_has_taken_is_refused(
    server: Server, vault: Path, family: str
) -> None:
    cut = Cut(server, vault, staged(server, vault, family, ["customer"]))
    server.sql(
        """ALTER TABLE customer DROP FOREIGN KEY of_country;
           CREATE TABLE thief (c CHAR(2), KEY (c),
             CONSTRAINT of_country FOREIGN KEY (c) REFERENCES country (code))""",
        family,
    )
    with pytest.raises(CannotComplete, match="thief has one of that name"):
        cut.swap()


def test_cleanup_refuses_what_a_foreign_key_references(
    server: Server, vault: Path, family: str
) -> None:
    cut = Cut(server, vault, staged(server, vault, family, ["customer"]))
    cut.swap()
    (kept,) = own_tables(server, family)
    server.sql(
        f"CREATE TABLE audit (id INT, KEY (id), CONSTRAINT holds FOREIGN KEY (id) "
        f"REFERENCES `{kept}` (id))",
        family,
    )
    with pytest.raises(CannotComplete, match=r"`holds` of .*audit"):
        cut.cleanup()
    assert own_tables(server, family) == [kept]
    server.sql("DROP TABLE audit", family)
    assert [name.name for name in cut.cleanup().dropped] == [kept]


def test_a_copy_gets_no_key_that_ties_others_down(
    server: Server, vault: Path, family: str, elsewhere: str
) -> None:
    run = staged(server, vault, family, ["customer", "orders"], into=elsewhere)
    done = Cut(server, vault, run).swap()
    assert any("`of_country`" in hint for hint in done.hints)
    assert key_to(server, elsewhere) == [
        ("customer", "has_boss", "customer"),
        ("orders", "both_ways", "customer"),
        ("orders", "orders_ibfk_1", "customer"),
    ]
