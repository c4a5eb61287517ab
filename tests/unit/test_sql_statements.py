"""Statements as text: reading, loading, inserting, the digest."""

from __future__ import annotations

import pytest

from tablevault.model import Column, Digest, Key, KeyColumn, KeyRange, TableName
from tablevault.mysql import sql
from tablevault.mysql.sql_digest import canonical_row, digest_query, parse_digest
from tablevault.rows.kinds import specs_of

TABLE = TableName("sh`op", "orders")
COLUMNS = (
    Column("id", "int", "int", False),
    Column("d", "double", "double", True),
    Column("f", "float", "float", False),
    Column("s", "varchar(9)", "varchar", True, "utf8mb4", "utf8mb4_bin"),
    Column("twice", "int", "int", True, generated=True),
    Column("j", "json", "json", True),
)
SPECS = specs_of(TABLE, COLUMNS, "mariadb")
KEY = Key("PRIMARY", (KeyColumn("id"),))


def test_select_names_what_the_digest_hashes() -> None:
    text = sql.select_rows(TABLE, SPECS, COLUMNS, KEY, KeyRange((b"1",), (b"5",)), "id > 2 -- mine")
    assert text == (
        "SELECT `id`, CONVERT(`d` USING binary), CONVERT(CAST(`f` AS DOUBLE) USING binary), "
        "`s`, `j` FROM `sh``op`.`orders` FORCE INDEX (`PRIMARY`) "
        "WHERE `id` >= 1 AND `id` < 5 AND (\nid > 2 -- mine\n) ORDER BY `id`"
    )


def test_select_without_key() -> None:
    text = sql.select_rows(TABLE, SPECS, COLUMNS)
    assert "FORCE INDEX" not in text and "ORDER BY" not in text and "WHERE" not in text


def test_load_data() -> None:
    mariadb = sql.load_data(TABLE, SPECS, "token-12345", "mariadb")
    assert mariadb == (
        "LOAD DATA LOCAL INFILE 'token-12345' INTO TABLE `sh``op`.`orders` CHARACTER SET binary "
        r"FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' "
        "(`id`, `d`, `f`, `s`, `j`)"
    )
    mysql = sql.load_data(TABLE, SPECS, "token-12345", "mysql")
    assert mysql.endswith("`s`, @v4) SET `j` = CONVERT(@v4 USING utf8mb4)")


@pytest.mark.parametrize("token", ["", "short", "../etc/passwd", "a' INTO x --", "a/b-c-d-e-f"])
def test_load_token_is_no_path(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        sql.load_data(TABLE, SPECS, token, "mysql")


def test_insert() -> None:
    assert sql.insert_prefix(TABLE, SPECS) == (
        "INSERT INTO `sh``op`.`orders` (`id`, `d`, `f`, `s`, `j`) VALUES "
    )
    row = sql.insert_row(SPECS, COLUMNS, [b"7", b"-1.5e-07", None, b"o'k", b"[1]"])
    assert row == "(7, '-1.5e-07', NULL, X'6f276b', _utf8mb4 X'5b315d')"


def test_quote_text() -> None:
    assert sql.quote_text("a'b\\c\0") == "'a''b\\\\c\\0'"


def test_canonical_row_orders_fixed_text_lob() -> None:
    assert canonical_row(SPECS, COLUMNS, "mariadb") == (
        "CONCAT(CONCAT_WS('|', `id`, IFNULL(CONVERT(`d` USING binary), 'N'), "
        "CONVERT(CAST(`f` AS DOUBLE) USING binary), IFNULL(LENGTH(`s`), 'N'), "
        "IFNULL(CONCAT(LENGTH(`j`), ':', CRC32(CONVERT(`j` USING binary))), 'N')), "
        "CONVERT('|' USING binary), "
        "IFNULL(`s`, ''))"
    )
    assert canonical_row(SPECS, COLUMNS, "mysql").endswith(
        ", CONVERT('|' USING binary), IFNULL(`s`, ''))"
    )
    assert canonical_row(SPECS[:1], COLUMNS, "mysql") == "CONCAT(`id`, CONVERT('|' USING binary))"


def test_digest_query_evaluates_the_hash_once() -> None:
    text = digest_query(TABLE, SPECS, COLUMNS, "mysql", KEY, KeyRange((b"1",), None))
    assert text.count("CRC32(CRC32(") == 1
    assert text.endswith("FROM `sh``op`.`orders` FORCE INDEX (`PRIMARY`) WHERE `id` >= 1")


def test_parse_digest_recovers_count_and_sum() -> None:
    hashes = [0, 2**32 - 1, 77]
    total = sum(h + 2**63 for h in hashes)
    assert parse_digest((b"3", str(total).encode())) == Digest(3, 3, sum(hashes))
    one_null = total - 2**63
    assert parse_digest((b"3", str(one_null).encode())).hashed == 2
    assert parse_digest((b"0", None)) == Digest()
    assert parse_digest((b"2", None)) == Digest(2, 0, 0)
    most = 2**31 * (2**63 + 2**32 - 1)
    assert parse_digest((str(2**31).encode(), str(most).encode())) == Digest(
        2**31, 2**31, 2**31 * (2**32 - 1)
    )
    with pytest.raises(ValueError, match="one row"):
        parse_digest(None)
