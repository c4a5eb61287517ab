"""Hypothesis strategies for whole tables: keys, constraints, partitions, rows, as SQL."""

from __future__ import annotations

import os
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.support.facts import quoted
from tests.support.generated_columns import Form, Literals, forms, literal

_NAMES = st.text(st.sampled_from("abcXYZ_é `.-$'\"\\%#?;,()日\t\n"), min_size=1, max_size=9).filter(
    lambda name: name == name.rstrip()
)
_COMMENTS = st.text(st.sampled_from("ab'\\\"`;é日)(, \n"), max_size=9)
_CHARSETS = ("utf8mb4", "latin1")
_GENERATED = "`g é`"
_MAYBE = st.sampled_from((True, False, False, False))


@dataclass(frozen=True)
class GeneratedColumn:
    """A column of a table: what it may hold, and how it is declared."""

    name: str
    form: Form
    attributes: str
    values: Literals

    @property
    def definition(self) -> str:
        return f"{quoted(self.name)} {self.form.type} {self.attributes}"

    @property
    def part(self) -> str:
        """It as a part of a key."""
        return quoted(self.name) + ("(5)" if self.form.prefixed else "")


@dataclass(frozen=True)
class GeneratedTable:
    """A table as the statements that make it."""

    name: str
    columns: tuple[str, ...]
    generated: tuple[str, ...]
    create: str
    rows: tuple[str, ...]

    def script(self) -> str:
        """Create and fill it, in a lax session: what the server makes of a value is the value."""
        inserts = "".join(f"INSERT IGNORE INTO {quoted(self.name)} {row};\n" for row in self.rows)
        return f"{self.create};\n{inserts}"


@dataclass(frozen=True)
class _Key:
    """The key that rows are told apart by: none, a primary key, or a unique one with NULLs."""

    kind: str  # "" | "PRIMARY KEY" | "UNIQUE KEY `u k`"
    nullable: bool
    members: tuple[int, ...]  # positions of columns
    counts: bool = False  # AUTO_INCREMENT


@st.composite
def _keys(draw: st.DrawFn, made: list[Form]) -> _Key:
    keyable = [at for at, form in enumerate(made) if form.keyable]
    members = draw(st.lists(st.sampled_from(keyable), max_size=3, unique=True)) if keyable else []
    if not members:
        return _Key("", False, ())
    kind, nullable = draw(
        st.sampled_from(
            [("PRIMARY KEY", False)] * 2 + [("UNIQUE KEY `u k`", False), ("UNIQUE KEY `u k`", True)]
        )
    )
    counts = not nullable and made[members[0]].whole_number and draw(st.booleans())
    return _Key(kind, nullable, tuple(members), counts)


@st.composite
def _column(draw: st.DrawFn, name: str, at: int, form: Form, key: _Key) -> GeneratedColumn:
    attributes, values = "NULL", form.values
    if at in key.members and not key.nullable:
        attributes = "NOT NULL"
        if key.counts and at == key.members[0]:
            attributes += " AUTO_INCREMENT"
    else:
        values = st.one_of(values, values, st.just("NULL"))
        if form.defaults and draw(_MAYBE):
            attributes += f" DEFAULT ({draw(st.sampled_from(form.defaults))})"
            values |= st.just("DEFAULT")
        elif form.type.startswith(("datetime", "timestamp")) and draw(st.booleans()):
            now = f"CURRENT_TIMESTAMP{form.type[form.type.index('(') :]}"
            attributes += f" DEFAULT {now} ON UPDATE {now}"
            values |= st.just("DEFAULT")
    if draw(_MAYBE):
        attributes += f" COMMENT {literal(draw(_COMMENTS))}"
    return GeneratedColumn(name, form, attributes, values)


@st.composite
def _derived(draw: st.DrawFn, kind: str, made: list[GeneratedColumn], key: _Key) -> list[str]:
    """Generated columns, CHECKs and further keys, over columns of which SQL knows the length."""
    counting = made[key.members[0]] if key.counts else None
    sources = [one for one in made if one.form.keyable and one is not counting]
    parts: list[str] = []
    if not sources:
        return parts
    some = st.sampled_from(sources)
    if draw(st.booleans()):
        parts.append(f"KEY second ({draw(some).part})")
    if draw(_MAYBE) and kind == "mysql":
        parts.append(f"KEY functional ((LENGTH({quoted(draw(some).name)})))")
    if draw(_MAYBE) and kind != "mysql":
        parts.append(f"KEY ignored ({draw(some).part}) IGNORED")
    # the text of the others is one of the session: its time zone, its sql_mode
    lasting = [one for one in sources if not one.form.type.startswith(("timestamp", "char"))]
    if lasting and draw(_MAYBE):
        source, how = draw(st.sampled_from(lasting)), draw(st.sampled_from(("VIRTUAL", "STORED")))
        expression = draw(st.sampled_from(("LENGTH({}) + 1", "{} IS NULL", "CHAR_LENGTH({}) * 2")))
        value = expression.format(quoted(source.name))
        parts.insert(0, f"{_GENERATED} BIGINT GENERATED ALWAYS AS ({value}) {how}")
        if draw(st.booleans()):
            parts.append(f"KEY derived ({_GENERATED})")
    if draw(_MAYBE):
        name = draw(st.sampled_from(("", "CONSTRAINT {} ")))
        # met by every row: MariaDB stops at one that does not, INSERT IGNORE or not
        check = f"CHECK (LENGTH({quoted(draw(some).name)}) < 9999)"
        parts.append(name + check)
    return parts


@st.composite
def _partitions(draw: st.DrawFn, made: list[GeneratedColumn], key: _Key) -> str:
    """How the table is partitioned: by a column that is in its key, if it has one."""
    may = key.members or range(len(made))
    by = [made[at] for at in may if made[at].form.keyable and not made[at].form.prefixed]
    whole_key = not any(made[at].form.prefixed for at in key.members)
    spatial = any(one.form.type.startswith(("geometry", "vector")) for one in made)
    if not by or spatial or not whole_key or not draw(_MAYBE):
        return ""
    column = draw(st.sampled_from(by))
    name = quoted(column.name)
    ways = [f"KEY ({name}) PARTITIONS 3", f"LINEAR KEY ({name}) PARTITIONS 2"]
    if column.form.whole_number:
        ranges = "(PARTITION a VALUES LESS THAN (9), PARTITION `b é` VALUES LESS THAN MAXVALUE)"
        ways = [
            *ways,
            f"HASH ({name}) PARTITIONS 4",
            f"RANGE ({name}) {ranges}",
            f"RANGE COLUMNS ({name}) {ranges.replace('MAXVALUE', '(MAXVALUE)')}",
            f"RANGE ({name}) SUBPARTITION BY KEY ({name}) SUBPARTITIONS 2 {ranges}",
            f"LIST ({name}) (PARTITION few VALUES IN (0, 1, NULL), PARTITION p VALUES IN (2, 3))",
        ]
    return f" PARTITION BY {draw(st.sampled_from(ways))}"


@st.composite
def tables(draw: st.DrawFn, kind: str, start: str) -> GeneratedTable:
    """A table with up to eight columns and thirty rows, whose name begins with `start`."""
    name = start + draw(st.just("") | _NAMES)
    listed = draw(st.lists(_NAMES, min_size=1, max_size=8))
    kinds = [draw(forms(kind)) for _ in listed]
    key = draw(_keys(kinds))
    made = [
        draw(_column(f"{at}{one}", at, form, key))
        for at, (one, form) in enumerate(zip(listed, kinds, strict=True))
    ]
    parts = [one.definition for one in made]
    if key.kind:
        order = [made[at].part + draw(st.sampled_from(("", "", " DESC"))) for at in key.members]
        parts.append(f"{key.kind} ({', '.join(order)})")
    partitions = draw(_partitions(made, key))
    parts += [part.format(quoted(f"{name} c")) for part in draw(_derived(kind, made, key))]
    options = draw(st.sampled_from(("", "", " ROW_FORMAT=COMPACT", " ROW_FORMAT=REDUNDANT")))
    options += f" COMMENT={literal(draw(_COMMENTS))} CHARSET={draw(st.sampled_from(_CHARSETS))}"
    names = ", ".join(quoted(one.name) for one in made)
    rows = draw(st.lists(st.tuples(*(one.values for one in made)), max_size=30))
    return GeneratedTable(
        name,
        tuple(one.name for one in made),
        ("g é",) if any(part.startswith(_GENERATED) for part in parts) else (),
        f"CREATE TABLE {quoted(name)} ({', '.join(parts)}) ENGINE=InnoDB{options}{partitions}",
        tuple(f"({names}) VALUES ({', '.join(cells)})" for cells in rows),
    )


def examples(wanted: int) -> settings:
    """So many examples, the same in every run unless TABLEVAULT_GENERATED asks for others."""
    return settings(
        max_examples=max(1, wanted),
        derandomize="TABLEVAULT_GENERATED" not in os.environ,
        database=None,
        phases=[Phase.generate],  # a failure tells its statements; shrinking would take hours
        suppress_health_check=list(HealthCheck),
    )
