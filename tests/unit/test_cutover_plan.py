"""Triggers taken apart and put together; a plan through the journal and back."""

from __future__ import annotations

import json

import pytest

from tablevault.errors import Unsupported
from tablevault.model import TableName, TriggerSettings
from tablevault.mysql.relations import links_in, nameless, without_links
from tablevault.mysql.triggers import parse_trigger
from tablevault.ops.cutover_plan import Move, Plan, from_record, to_record
from tablevault.ops.hands import listed

T, NEW, OLD = (TableName("s", name) for name in ("t", "new", "old"))
CREATE = (
    "CREATE TABLE `t` (\n  `id` int NOT NULL,\n  `up` int DEFAULT NULL,\n  PRIMARY KEY (`id`),\n"
    "  CONSTRAINT `FOREIGN KEY` FOREIGN KEY (`up`, `id`) REFERENCES `t` (`a`, `b`) "
    "ON DELETE CASCADE,\n  CONSTRAINT `b` FOREIGN KEY (`up`) REFERENCES `x`.`y` (`z`)\n) "
    "ENGINE=InnoDB"
)


@pytest.mark.parametrize(
    ("text", "name", "definer", "when", "body"),
    [
        (
            "CREATE DEFINER=`a`@`%` TRIGGER `t``1` BEFORE INSERT ON `s`.`t` FOR EACH ROW SET @a=1",
            "t`1",
            "DEFINER=`a`@`%`",
            "BEFORE INSERT",
            "SET @a=1",
        ),
        (
            "CREATE OR REPLACE DEFINER=`a`@`%` TRIGGER s.two after update ON t\n FOR EACH ROW "
            "FOLLOWS one begin end",
            "two",
            "DEFINER=`a`@`%`",
            "AFTER UPDATE",
            "begin end",
        ),
        (
            'CREATE TRIGGER "a ""b"" TRIGGER" BEFORE DELETE ON "t" FOR EACH ROW /* ON x */ DO 1',
            'a "b" TRIGGER',
            "",
            "BEFORE DELETE",
            "/* ON x */ DO 1",
        ),
    ],
)
def test_a_trigger_is_taken_apart(text: str, name: str, definer: str, when: str, body: str) -> None:
    trigger = parse_trigger(text)
    assert (trigger.name, trigger.definer, trigger.when, trigger.body) == (
        name,
        definer,
        when,
        body,
    )
    again = parse_trigger(trigger.create_sql(NEW))
    assert again == trigger


@pytest.mark.parametrize(
    "text",
    ["CREATE TABLE t (a INT)", "CREATE TRIGGER x BEFORE INSERT OR UPDATE ON t FOR EACH ROW DO 1"],
)
def test_what_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(Unsupported):
        parse_trigger(text)


def test_settings_that_are_not_known_do_not_differ() -> None:
    text = "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW DO 1"
    known = parse_trigger(text, TriggerSettings("ANSI", "latin1", "latin1_bin"))
    assert known.same_as(parse_trigger(text))
    assert not known.same_as(parse_trigger(text, TriggerSettings("", "latin1", "latin1_bin")))


def test_foreign_keys_are_read_with_their_parents() -> None:
    first, second = links_in(CREATE, T)
    assert (first.parent, first.columns, first.parent_columns) == (T, ("up", "id"), ("a", "b"))
    assert "REFERENCES `s`.`t` (`a`, `b`) ON DELETE CASCADE" in first.clause
    assert second.parent == TableName("x", "y")
    assert nameless(first, NEW) == (
        "FOREIGN KEY (`up`, `id`) REFERENCES `s`.`new` (`a`, `b`) ON DELETE CASCADE"
    )
    assert "FOREIGN" not in without_links(CREATE)
    assert without_links(CREATE).endswith("PRIMARY KEY (`id`)\n) ENGINE=InnoDB")


def test_a_plan_comes_back_from_the_journal() -> None:
    links = links_in(CREATE, T)
    trigger = parse_trigger("CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW DO 1")
    plan = Plan(
        (
            Move(T, NEW, OLD, True, links_before=links, triggers_after=(trigger,)),
            Move(TableName("s", "u"), None, OLD, True),
        ),
        links_in(CREATE.replace("`t` (\n", "`c` (\n"), TableName("z", "c"), schema="s")[:1],
    )
    assert from_record(json.loads(json.dumps(to_record(plan)))) == plan
    assert plan.outer_children == (TableName("z", "c"),)
    assert plan.outer_parents == (TableName("x", "y"),)
    assert plan.pairs(True) == [(T, OLD), (NEW, T), (TableName("s", "u"), OLD)]
    assert plan.pairs(False) == [(T, NEW), (OLD, T), (OLD, TableName("s", "u"))]


def test_a_step_of_thousands_of_tables_is_still_a_line() -> None:
    names = [f"s.t{number}" for number in range(10_000)]
    assert listed(names[:2]) == "s.t0, s.t1"
    assert listed(names).endswith(", s.t19 and 9,980 more")
    assert len(listed(names)) < 200
