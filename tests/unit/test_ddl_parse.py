"""SHOW CREATE TABLE taken apart: by example from both servers, and with ugly names by property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablevault.errors import Unsupported
from tablevault.model import TableName
from tablevault.mysql import ddl
from tablevault.mysql.ddl import Role
from tablevault.mysql.sql_ranges import quote_name

MARIADB = r"""CREATE TABLE `ch` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT COMMENT 'KEY `x` (`y`), it''s \\ (',
  `we``ird,(name` varchar(20) DEFAULT ')''(,' COMMENT 'a\nb AUTO_INCREMENT=3',
  `t` text DEFAULT NULL,
  `p` point NOT NULL,
  `e` enum('a,b','c)') DEFAULT NULL,
  `v` int(11) GENERATED ALWAYS AS (`id2` + 1) VIRTUAL,
  `id2` int(11) NOT NULL CHECK (`id2` > 1),
  `pid` int(11) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `u1` (`id2`),
  KEY `k ``(1)` (`t`(10),`id2` DESC) COMMENT 'x,y',
  SPATIAL KEY `sp` (`p`),
  KEY `kp` (`pid`),
  FULLTEXT KEY `ft` (`t`),
  CONSTRAINT `ch_ibfk_1` FOREIGN KEY (`id2`) REFERENCES `ch` (`x`),
  CONSTRAINT `fk1` FOREIGN KEY (`pid`,`id`) REFERENCES `oth``er`.`pa` (`a`, `b`) ON DELETE CASCADE,
  CONSTRAINT `ck` CHECK (`id2` > 0 and `we``ird,(name` <> 'foreign key (')
) ENGINE=InnoDB AUTO_INCREMENT=17 DEFAULT CHARSET=latin1 COMMENT='tbl ) AUTO_INCREMENT=5 '
 PARTITION BY RANGE (`a`)
(PARTITION `p0` VALUES LESS THAN (10) ENGINE = InnoDB,
 PARTITION `p1` VALUES LESS THAN MAXVALUE ENGINE = InnoDB)"""

MYSQL = """CREATE TABLE `mf` (
  `a` int NOT NULL,
  `b` varchar(20) DEFAULT NULL,
  `n` int DEFAULT NULL /*!80023 INVISIBLE */,
  `c` bigint NOT NULL AUTO_INCREMENT,
  PRIMARY KEY (`a`),
  KEY `inv` (`b`) /*!80000 INVISIBLE */,
  KEY `fx` ((lower(`b`)),`a`),
  KEY `count` (`c`),
  FULLTEXT KEY `f` (`b`) /*!50100 WITH PARSER `ngram` */ ,
  CONSTRAINT `mf_chk_1` CHECK ((`a` > 1)) /*!80016 NOT ENFORCED */
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
/*!50100 PARTITION BY RANGE (`a`)
(PARTITION p0 VALUES LESS THAN (10) ENGINE = InnoDB) */"""


def test_elements() -> None:
    table = ddl.parse(MARIADB)
    assert table.name == "ch"
    assert [e.name for e in table.of(Role.COLUMN)] == (
        ["id", "we`ird,(name", "t", "p", "e", "v", "id2", "pid"]
    )
    [primary] = table.of(Role.PRIMARY)
    assert (primary.name, primary.columns) == ("PRIMARY", ("id",))
    assert [(i.flavour, i.name, i.columns) for i in table.of(Role.INDEX)] == [
        ("UNIQUE", "u1", ("id2",)),
        ("", "k `(1)", ("t", "id2")),
        ("SPATIAL", "sp", ("p",)),
        ("", "kp", ("pid",)),
        ("FULLTEXT", "ft", ("t",)),
    ]
    assert [c.name for c in ddl.checks(MARIADB)] == ["ck"]
    assert table.tail.lstrip().startswith("ENGINE=InnoDB AUTO_INCREMENT=17")


@pytest.mark.parametrize("text", [MARIADB, MYSQL.replace(" */ ,", " */,")])
def test_render_gives_the_text_back(text: str) -> None:
    table = ddl.parse(text)
    assert table.render(quote_name(table.name)) == text


def test_foreign_keys() -> None:
    own, other = ddl.foreign_keys(MARIADB)
    assert (own.name, own.columns, own.parent, own.parent_schema, own.parent_columns) == (
        ("ch_ibfk_1", ("id2",), "ch", None, ("x",))
    )
    assert (other.parent_schema, other.parent, other.columns, other.parent_columns) == (
        ("oth`er", "pa", ("pid", "id"), ("a", "b"))
    )
    moved = own.referencing(TableName("s`x", "stage"))
    assert moved.text == (
        "CONSTRAINT `ch_ibfk_1` FOREIGN KEY (`id2`) REFERENCES `s``x`.`stage` (`x`)"
    )
    assert moved.referencing(TableName("a", "b")).text == (
        "CONSTRAINT `ch_ibfk_1` FOREIGN KEY (`id2`) REFERENCES `a`.`b` (`x`)"
    )
    assert other.add_clause.endswith("REFERENCES `oth``er`.`pa` (`a`, `b`) ON DELETE CASCADE")
    assert other.drop_clause == "DROP FOREIGN KEY `fk1`"


def test_versioned_comments_stay_whole() -> None:
    table = ddl.parse(MYSQL)
    inv, functional, count, fulltext = table.of(Role.INDEX)
    assert inv.text == "KEY `inv` (`b`) /*!80000 INVISIBLE */"
    assert functional.columns == ("", "a")
    assert fulltext.text == "FULLTEXT KEY `f` (`b`) /*!50100 WITH PARSER `ngram` */"
    assert count.add_clause == "ADD KEY `count` (`c`)"
    [check] = table.of(Role.CHECK)
    assert check.text.endswith("/*!80016 NOT ENFORCED */")


def test_staging_keeps_what_it_must() -> None:
    new = TableName("sh`op", "_tv_new")
    text = ddl.staging_sql(MYSQL, new, (), family="mysql")
    assert text.startswith("CREATE TABLE `sh``op`.`_tv_new` (")
    # the AUTO_INCREMENT column is not first in the primary key: its index stays
    assert [i.name for i in ddl.parse(text).of(Role.INDEX)] == ["count"]
    assert [i.name for i in ddl.deferred_indexes(MYSQL, ())] == ["inv", "fx", "f"]
    # names of checks are unique in a schema on MySQL, and the live table has this one
    assert "CHECK ((`a` > 1)) /*!80016 NOT ENFORCED */" in text and "mf_chk_1" not in text
    assert text.endswith(ddl.parse(MYSQL).tail)

    text = ddl.staging_sql(MARIADB, new, ("u1",), family="mariadb")
    assert [i.name for i in ddl.parse(text).of(Role.INDEX)] == ["u1"]
    assert "FOREIGN KEY" not in text and "CONSTRAINT `ck` CHECK" in text
    assert "AUTO_INCREMENT=17" not in text and "COMMENT='tbl ) AUTO_INCREMENT=5 '" in text
    assert "PARTITION BY RANGE" in text
    assert [i.name for i in ddl.deferred_indexes(MARIADB, ("u1",))] == [
        *("k `(1)", "sp", "kp", "ft")
    ]


def test_auto_increment() -> None:
    assert ddl.auto_increment(MARIADB) == 17
    assert ddl.without_auto_increment(MARIADB) == MARIADB.replace(" AUTO_INCREMENT=17", "")
    assert ddl.auto_increment(MYSQL) is None
    assert ddl.without_auto_increment(MYSQL) == MYSQL


def test_normalise_forgives_the_swap_alone() -> None:
    swapped = (
        MARIADB.replace("`ch`", "`_tv_new_1_ch`")
        .replace("`ch_ibfk", "`_tv_new_1_ch_ibfk")
        .replace("=17", "=99")
    )
    assert ddl.normalise(swapped) == ddl.normalise(MARIADB)
    for old, new in (
        ("`id2` > 0", "`id2` > 2"),
        ("(`t`(10)", "(`t`(11)"),
        ("COMMENT='tbl", "COMMENT='tbx"),
        ("LESS THAN (10)", "LESS THAN (11)"),
        ("DEFAULT ')''(,'", "DEFAULT ')''(.'"),
        ("`ck`", "`ck2`"),
        ("  `t` text DEFAULT NULL,\n  `p` point NOT NULL,", "  `p` point NOT NULL,\n  `t` text,"),
    ):
        assert old in MARIADB
        assert ddl.normalise(MARIADB.replace(old, new)) != ddl.normalise(MARIADB), old


def test_normalise_without_constraint_names() -> None:
    renamed = MARIADB.replace("CONSTRAINT `ck`", "CONSTRAINT `_tv_chk_1`").replace("`fk1`", "`f`")
    assert ddl.normalise(renamed) != ddl.normalise(MARIADB)
    assert ddl.normalise(renamed, constraint_names=False) == ddl.normalise(
        MARIADB, constraint_names=False
    )
    other = MARIADB.replace("ON DELETE CASCADE", "")
    assert ddl.normalise(other, constraint_names=False) != ddl.normalise(
        MARIADB, constraint_names=False
    )


@pytest.mark.parametrize(
    "text", ["", "CREATE VIEW `v` AS select 1", "CREATE TABLE `t` (\n  `a` int", "SELECT (1)"]
)
def test_not_a_table(text: str) -> None:
    with pytest.raises(Unsupported):
        ddl.parse(text)


PIECES = [*"ab`'\"(),;\\\n /*#-=", "KEY", "é", "/*", "*/", "/*!"]
UGLY = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join)


def comment(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("'", "''")
    return f"COMMENT '{escaped}'"


@given(
    table=UGLY,
    columns=st.lists(st.tuples(UGLY, UGLY), min_size=1, max_size=4, unique_by=lambda c: c[0]),
    index=UGLY,
    constraint=UGLY,
    parent=UGLY,
    text=UGLY,
)
def test_ugly_names(
    table: str, columns: list[tuple[str, str]], index: str, constraint: str, parent: str, text: str
) -> None:
    names = [name for name, _ in columns]
    listed = ",".join(quote_name(name) for name in names)
    parts = [f"{quote_name(name)} int NOT NULL {comment(said)}" for name, said in columns]
    parts += [
        f"PRIMARY KEY ({listed})",
        f"UNIQUE KEY {quote_name(index)} ({listed}) {comment(text)}",
        f"CONSTRAINT {quote_name(constraint)} FOREIGN KEY ({listed}) "
        f"REFERENCES {quote_name(parent)} ({listed})",
        f"CONSTRAINT {quote_name(constraint)} CHECK "
        f"({quote_name(names[0])} <> {comment(text)[8:]})",
    ]
    body = ",\n  ".join(parts)
    create = (
        f"CREATE TABLE {quote_name(table)} (\n  {body}\n) ENGINE=InnoDB "
        f"AUTO_INCREMENT=5 {comment(text).replace(' ', '=', 1)}"
    )
    parsed = ddl.parse(create)
    assert parsed.render(quote_name(table)) == create
    assert parsed.name == table
    assert [e.name for e in parsed.of(Role.COLUMN)] == names
    [unique] = parsed.of(Role.INDEX)
    assert (unique.name, unique.columns) == (index, tuple(names))
    [foreign] = ddl.foreign_keys(create)
    assert (foreign.name, foreign.parent, foreign.parent_columns) == (
        (constraint, parent, tuple(names))
    )
    assert ddl.auto_increment(create) == 5
    staged = ddl.staging_sql(create, TableName(table, index), (), family="mysql")
    assert [e.role for e in ddl.parse(staged).elements] == [
        *[Role.COLUMN] * len(names),
        Role.PRIMARY,
        Role.CHECK,
    ]
