"""Definitions taken apart facet by facet, as both families write them."""

from __future__ import annotations

import pytest

from tablevault.model import Column
from tablevault.mysql import ddl_facets
from tablevault.mysql.ddl_parse import CreateTable, parse


def created(*elements: str, tail: str = " ENGINE=InnoDB") -> CreateTable:
    body = ",\n  ".join(elements)
    return parse(f"CREATE TABLE `t` (\n  {body}\n){tail}")


def facets(text: str, **facts: str) -> dict[str, str]:
    element = created(text).elements[0]
    column = Column(element.name, "int", "int", "NOT NULL" not in text, **facts)  # type: ignore[arg-type]
    found = ddl_facets.column_facets(element, column)
    return {name: shown for name, shown in found.items() if shown and name != "nullability"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`a` int(10) unsigned zerofill NOT NULL", {"type": "int(10) unsigned zerofill"}),
        ("`a` int DEFAULT NULL", {"type": "int", "default": "DEFAULT NULL"}),
        (
            "`default` enum('a','NOT NULL','it''s, `)') NOT NULL DEFAULT 'COMMENT' COMMENT 'x'",
            {
                "type": "enum('a','NOT NULL','it''s, `)')",
                "default": "DEFAULT 'COMMENT'",
                "comment": "COMMENT 'x'",
            },
        ),
        (
            "`ts` timestamp(3) NULL DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3)",
            {
                "type": "timestamp(3)",
                "default": "DEFAULT current_timestamp(3)",
                "on update": "ON UPDATE current_timestamp(3)",
            },
        ),
        (
            "`v` int GENERATED ALWAYS AS ((`a` * 2)) STORED NOT NULL COMMENT 'c'",
            {
                "type": "int",
                "generation": "GENERATED ALWAYS AS ((`a` * 2))",
                "storage of the generated value": "STORED",
                "comment": "COMMENT 'c'",
            },
        ),
        (
            "`j` longtext DEFAULT json_array() CHECK (json_valid(`j`))",
            {
                "type": "longtext",
                "default": "DEFAULT json_array()",
                "check": "CHECK (json_valid(`j`))",
            },
        ),
        (
            "`i` int DEFAULT '7' /*!80023 INVISIBLE */",
            {"type": "int", "default": "DEFAULT '7'", "visibility": "INVISIBLE"},
        ),
        ("`p` point NOT NULL /*!80003 SRID 4326 */", {"type": "point", "attributes": "SRID 4326"}),
        ("`b` bit(3) DEFAULT b'101'", {"type": "bit(3)", "default": "DEFAULT b'101'"}),
        (
            "`id` int NOT NULL AUTO_INCREMENT",
            {"type": "int", "auto_increment": "AUTO_INCREMENT"},
        ),
    ],
)
def test_every_word_of_a_column_is_in_its_facet(text: str, expected: dict[str, str]) -> None:
    assert facets(text) == expected


def test_a_charset_is_the_one_in_effect_not_the_one_written() -> None:
    written = facets(
        "`s` varchar(9) CHARACTER SET latin1", charset="latin1", collation="latin1_bin"
    )
    implied = facets("`s` varchar(9)", charset="latin1", collation="latin1_bin")
    assert written == implied
    other = facets("`s` varchar(9)", charset="utf8mb4", collation="utf8mb4_bin")
    assert ddl_facets.changed_facets(written, other) == ("charset",)


@pytest.mark.parametrize(
    ("tail", "options", "partitioning"),
    [
        (
            " ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin "
            "COMMENT='PARTITION BY, it''s'",
            {
                "ENGINE": "InnoDB",
                "DEFAULT CHARSET": "utf8mb4",
                "COLLATE": "utf8mb4_bin",
                "COMMENT": "'PARTITION BY, it''s'",
            },
            "",
        ),
        (
            " ENGINE=InnoDB\n/*!50100 PARTITION BY HASH (`a`)\nPARTITIONS 3 */",
            {"ENGINE": "InnoDB"},
            "/*!50100 PARTITION BY HASH (`a`)\nPARTITIONS 3 */",
        ),
        (
            " ENGINE=InnoDB `ENCRYPTED`=YES WITH SYSTEM VERSIONING\n PARTITION BY SYSTEM_TIME \n"
            "(PARTITION `p0` HISTORY ENGINE = InnoDB)",
            {"ENGINE": "InnoDB", "`ENCRYPTED`": "YES", "WITH SYSTEM VERSIONING": ""},
            "PARTITION BY SYSTEM_TIME \n(PARTITION `p0` HISTORY ENGINE = InnoDB)",
        ),
        (
            " /*!50100 TABLESPACE `ts` */ ENGINE=InnoDB KEY_BLOCK_SIZE=8",
            {"TABLESPACE": "`ts`", "ENGINE": "InnoDB", "KEY_BLOCK_SIZE": "8"},
            "",
        ),
    ],
)
def test_options_and_partitions(tail: str, options: dict[str, str], partitioning: str) -> None:
    found = ddl_facets.tail_of(created("`a` int", tail=tail))
    assert dict(found.options) == options
    assert found.partitioning == partitioning


def test_a_rename_changes_columns_and_nothing_else_of_that_name() -> None:
    table = created(
        "`new` int",
        "`v` int GENERATED ALWAYS AS (`new` * 2) VIRTUAL",
        "KEY `new` (`new`,`v`)",
        "CONSTRAINT `new` FOREIGN KEY (`new`) REFERENCES `new` (`new`)",
        "CONSTRAINT `self` FOREIGN KEY (`v`) REFERENCES `t` (`new`)",
        tail=" ENGINE=InnoDB\n PARTITION BY RANGE (`new`)\n(PARTITION `new` VALUES LESS THAN (5))",
    )
    renamed = ddl_facets.renamed(table, {"new": "old"})
    assert [element.text for element in renamed.elements] == [
        "`new` int",
        "`v` int GENERATED ALWAYS AS (`old` * 2) VIRTUAL",
        "KEY `new` (`old`,`v`)",
        "CONSTRAINT `new` FOREIGN KEY (`old`) REFERENCES `new` (`new`)",
        "CONSTRAINT `self` FOREIGN KEY (`v`) REFERENCES `t` (`old`)",
    ]
    assert "RANGE (`old`)\n(PARTITION `new` VALUES" in renamed.tail
