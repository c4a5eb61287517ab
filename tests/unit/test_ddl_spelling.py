"""The same definition in the words of two versions of a server; another one in any words."""

from __future__ import annotations

import pytest

from tablevault.model import Column, TableDef, TableName
from tablevault.mysql.ddl_spelling import alike, effective


def create(*columns: str, tail: str = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4") -> str:
    return f"CREATE TABLE `t` (\n  {', '.join(columns)}\n) {tail}"


ALIKE = {
    "INVISIBLE of MariaDB 10.11 and 11.8": (
        create("`a` int(11)", "`b` int(11) INVISIBLE DEFAULT 7 COMMENT 'x'"),
        create("`a` int(11)", "`b` int(11) DEFAULT 7 INVISIBLE COMMENT 'x'"),
    ),
    "collations that newer MariaDB names": (
        create("`a` varchar(3) CHARACTER SET latin1 DEFAULT NULL"),
        create(
            "`a` varchar(3) CHARACTER SET latin1 COLLATE latin1_swedish_ci DEFAULT NULL",
            tail="ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci",
        ),
    ),
    "display widths before MySQL 8.0.19": (
        create("`a` int(11) NOT NULL", "`b` bigint(20) unsigned", "`c` year(4)", "`d` tinyint(1)"),
        create("`a` int NOT NULL", "`b` bigint unsigned", "`c` year", "`d` tinyint(1)"),
    ),
    "utf8 before MySQL 8.0.28": (
        create(
            "`utf8` text CHARACTER SET utf8 COLLATE utf8_bin COMMENT 'utf8'",
            tail="ENGINE=InnoDB DEFAULT CHARSET=utf8 COLLATE=utf8_bin",
        ),
        create(
            "`utf8` text CHARACTER SET utf8mb3 COLLATE utf8mb3_bin COMMENT 'utf8'",
            tail="ENGINE=InnoDB DEFAULT CHARSET=utf8mb3 COLLATE=utf8mb3_bin",
        ),
    ),
}
DIFFERENT = {
    "default": (create("`a` int DEFAULT 7 INVISIBLE"), create("`a` int INVISIBLE DEFAULT 8")),
    "visibility": (create("`a` int", "`b` int INVISIBLE"), create("`a` int", "`b` int")),
    "comment": (create("`a` int(11) COMMENT 'utf8'"), create("`a` int COMMENT 'utf8mb3'")),
    "width": (create("`a` int(5)"), create("`a` int(11)")),
    "width that pads": (create("`a` int(5) unsigned zerofill"), create("`a` int(9) zerofill")),
    "type": (create("`a` int(11)"), create("`a` bigint")),
    "collation": (
        create("`a` text CHARACTER SET latin1 COLLATE latin1_bin"),
        create("`a` text CHARACTER SET latin1 COLLATE latin1_swedish_ci"),
    ),
    "charset": (create("`a` text CHARACTER SET utf8"), create("`a` text CHARACTER SET utf8mb4")),
    "order": (create("`a` int(11)", "`b` int(11)"), create("`b` int", "`a` int")),
    "name": (create("`a` int(11)"), create("`utf8` int")),
    "key": (create("`a` int(11)", "KEY `k` (`a`)"), create("`a` int", "KEY `k` (`a` DESC)")),
    "option": (
        create("`a` int(11)", tail="ENGINE=InnoDB DEFAULT CHARSET=utf8 ROW_FORMAT=COMPACT"),
        create("`a` int", tail="ENGINE=InnoDB DEFAULT CHARSET=utf8mb3"),
    ),
    "partitions": (
        create("`a` int(11)", tail="ENGINE=InnoDB\n PARTITION BY HASH (`a`)\nPARTITIONS 2"),
        create("`a` int", tail="ENGINE=InnoDB\n PARTITION BY HASH (`a`)\nPARTITIONS 3"),
    ),
}


@pytest.mark.parametrize("case", ALIKE)
def test_alike(case: str) -> None:
    one, other = ALIKE[case]
    assert one != other
    assert alike(one, other) and alike(other, one)


@pytest.mark.parametrize("case", DIFFERENT)
def test_different(case: str) -> None:
    one, other = DIFFERENT[case]
    assert not alike(one, other) and not alike(other, one)


def test_what_a_text_may_leave_out_is_compared_as_it_is_in_effect() -> None:
    def definition(charset: str, collation: str) -> TableDef:
        column = Column("a", "text", "text", True, charset, collation)
        return TableDef(TableName("s", "t"), create("`a` text"), (column,), None, "", collation)

    old = definition("utf8", "utf8_general_ci")
    assert effective(old) == effective(definition("utf8mb3", "utf8mb3_general_ci"))
    assert effective(old) != effective(definition("utf8mb3", "utf8mb3_uca1400_ai_ci"))
