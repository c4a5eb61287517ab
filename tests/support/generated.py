"""Hypothesis strategies for whole tables: columns, key, charset, rows, as SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.support.facts import quoted

SINGLE_BYTE = (
    *("armscii8", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp866", "dec8", "geostd8"),
    *("greek", "hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "latin1", "latin2", "latin5"),
    *("latin7", "macce", "macroman", "tis620", "swe7"),
)
OTHERS = (
    *("utf8mb4", "utf8mb3", "ascii", "ucs2", "utf16", "utf16le", "utf32"),
    *("gbk", "gb2312", "big5", "euckr", "sjis", "cp932", "ujis", "eucjpms"),
)

Literals = st.SearchStrategy[str]


@dataclass(frozen=True)
class GeneratedColumn:
    """A column: its definition, and the literals of its values."""

    name: str
    definition: str
    values: Literals
    keyable: bool


@dataclass(frozen=True)
class GeneratedTable:
    """A table as the statements that make it."""

    name: str
    columns: tuple[str, ...]
    create: str
    rows: tuple[str, ...]

    def script(self) -> str:
        """Create and fill it, in a lax session: what the server makes of a value is the value."""
        inserts = "".join(f"INSERT IGNORE INTO {quoted(self.name)} {row};\n" for row in self.rows)
        return f"{self.create};\n{inserts}"


def _hex(data: bytes) -> str:
    return f"X'{data.hex()}'" if data else "''"


def _text(characters: st.SearchStrategy[str]) -> Literals:
    return characters.map(
        lambda text: f"CONVERT(X'{text.encode().hex()}' USING utf8mb4)" if text else "''"
    )


_CHARACTERS = st.characters(codec="utf-8", exclude_categories=("Cs",))
_SPECIAL = st.sampled_from("\\\t\n\0'\"N%_ \x1a\r|`ä€😀中文яж")
_WORDS = st.text(st.one_of(_CHARACTERS, _SPECIAL, st.characters(max_codepoint=127)), max_size=20)
_BYTES = st.one_of(st.binary(max_size=20), st.text(_SPECIAL, max_size=9).map(str.encode))


def _quoted(values: st.SearchStrategy[object]) -> Literals:
    return values.map(lambda value: f"'{value}'")


@st.composite
def _numbers(draw: st.DrawFn) -> tuple[str, Literals, bool]:
    name, bits = draw(
        st.sampled_from([("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32)])
        | st.just(("bigint", 64))
    )
    if draw(st.booleans()):
        zerofill = draw(st.sampled_from(["", "(9) zerofill"]))
        form = f"{name}{zerofill} unsigned" if not zerofill else f"{name}(9) unsigned zerofill"
        return form, st.integers(0, (1 << bits) - 1).map(str), True
    return name, st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1).map(str), True


@st.composite
def _decimals(draw: st.DrawFn) -> tuple[str, Literals, bool]:
    digits = draw(st.integers(1, 65))
    scale = draw(st.integers(0, min(digits, 30)))
    most = 10**digits - 1
    values = st.integers(-most, most).map(lambda n: f"{n}e-{scale}")
    exact = st.integers(-most, most).map(
        lambda n: f"{'-' if n < 0 else ''}{abs(n) // 10**scale}.{abs(n) % 10**scale:0{scale or 1}d}"
    )
    return f"decimal({digits},{scale})", st.one_of(values, exact), True


@st.composite
def _floats(draw: st.DrawFn) -> tuple[str, Literals, bool]:
    width = draw(st.sampled_from((32, 64)))
    numbers = st.floats(width=width, allow_nan=False, allow_infinity=False)
    return ("float" if width == 32 else "double"), _quoted(numbers.map(repr)), False


@st.composite
def _times(draw: st.DrawFn) -> tuple[str, Literals, bool]:
    scale = draw(st.integers(0, 6))
    kind = draw(st.sampled_from(("date", "datetime", "timestamp", "time", "year")))
    if kind == "year":
        return "year", st.one_of(st.just("0"), st.integers(1901, 2155).map(str)), True
    odd = st.sampled_from(("0000-00-00", "2020-00-00", "2020-02-31", "9999-12-31"))
    if kind == "date":
        return "date", _quoted(st.one_of(st.dates(), odd)), True
    if kind == "time":
        clock = st.builds(
            lambda sign, h, m, s, f: f"{sign}{h:02d}:{m:02d}:{s:02d}.{f:06d}",
            st.sampled_from(("", "-")),
            st.integers(0, 838),
            *[st.integers(0, 59)] * 2,
            st.integers(0, 999_999),
        )
        return f"time({scale})", _quoted(clock), True
    moments = st.datetimes().map(lambda moment: moment.isoformat(" "))
    if kind == "timestamp":
        return f"timestamp({scale}) null default null", _quoted(st.one_of(moments, odd)), False
    return f"datetime({scale})", _quoted(st.one_of(moments, odd)), True


@st.composite
def _texts(draw: st.DrawFn) -> tuple[str, Literals, bool]:
    charset = draw(st.sampled_from(OTHERS) | st.sampled_from(SINGLE_BYTE))
    kind = draw(st.sampled_from(("varchar(40)", "char(20)", "text", "mediumtext")))
    values = _text(_WORDS)
    if charset in SINGLE_BYTE:
        values |= _BYTES.filter(bool).map(lambda data: f"_{charset} {_hex(data)}")
    binary = draw(st.booleans())
    collation = f" collate {charset}_bin" if binary else ""
    return f"{kind} character set {charset}{collation}", values, "(" in kind


@st.composite
def _binaries(draw: st.DrawFn) -> tuple[str, Literals, bool]:
    kind = draw(st.sampled_from(("binary(8)", "varbinary(30)", "blob", "longblob", "bit")))
    if kind == "bit":
        bits = draw(st.integers(1, 64))
        return f"bit({bits})", st.integers(0, (1 << bits) - 1).map(str), True
    return kind, _BYTES.map(_hex), "(" in kind


@st.composite
def _members(draw: st.DrawFn) -> tuple[str, Literals, bool]:
    letters = st.text(st.sampled_from("ab01é ßж'\\_-"), min_size=1, max_size=6)
    names = draw(
        st.lists(letters.map(str.rstrip).filter(bool), min_size=1, max_size=9, unique=True)
    )
    kind = draw(st.sampled_from(("enum", "set")))
    listed = ",".join(_literal(name) for name in names)
    most = len(names) if kind == "enum" else (1 << len(names)) - 1
    values = st.integers(1, most).map(str)
    return f"{kind}({listed}) character set utf8mb4 collate utf8mb4_bin", values, kind == "enum"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


_JSON = st.recursive(
    st.sampled_from(("null", "true", "0", "-1", "1.5", "1e30", '"x"', '"ä\\\\n"', "123456789012"))
    | st.integers(-(1 << 63), (1 << 64) - 1).map(str),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda some: f"[{', '.join(some)}]")
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(
            lambda some: "{" + ", ".join(f'"{k}": {v}' for k, v in some.items()) + "}"
        )
    ),
    max_leaves=8,
)


def _special(kind: str) -> list[tuple[str, Literals, bool]]:
    point = st.builds(
        lambda x, y: f"ST_GeomFromText('POINT({x} {y})')", *[st.integers(-90, 90)] * 2
    )
    found: list[tuple[str, Literals, bool]] = [
        ("json", _JSON.map(lambda text: f"'{text}'"), False),
        ("geometry", point, False),
        ("boolean", st.sampled_from(("0", "1")), True),
    ]
    if kind != "mysql":
        found += [
            ("uuid", _quoted(st.uuids()), True),
            ("inet4", _quoted(st.ip_addresses(v=4)), True),
            ("inet6", _quoted(st.ip_addresses(v=6)), True),
        ]
    if kind != "mariadb":
        units = st.lists(st.integers(0, 127), min_size=12, max_size=12)
        # the highest byte of a float below 0x7f: neither infinite nor no number
        vector = units.map(lambda some: _hex(bytes(min(one, 0x7E) for one in some)))
        found.append(("vector(3)", vector, False))
    return found


@st.composite
def columns(draw: st.DrawFn, kind: str, name: str) -> GeneratedColumn:
    """Any column that a server of this kind has."""
    families: list[Callable[[], st.SearchStrategy[tuple[str, Literals, bool]]]] = [
        *(_numbers, _decimals, _floats, _times, _texts, _texts, _binaries, _members),
        lambda: st.sampled_from(_special(kind)),
    ]
    definition, values, keyable = draw(draw(st.sampled_from(families))())
    return GeneratedColumn(name, definition, values, keyable)


@st.composite
def tables(draw: st.DrawFn, kind: str, name: str) -> GeneratedTable:
    """A table with up to eight columns and thirty rows."""
    names = draw(
        st.lists(
            st.text(st.sampled_from("abcXYZ_é `.-$"), min_size=1, max_size=9)
            .map(str.strip)
            .filter(bool),
            min_size=1,
            max_size=8,
            unique_by=str.casefold,
        )
    )
    made = [draw(columns(kind, f"{at}{one}")) for at, one in enumerate(names)]
    keyable = [column.name for column in made if column.keyable]
    key = draw(st.lists(st.sampled_from(keyable), max_size=3, unique=True)) if keyable else []
    parts = [f"{quoted(c.name)} {c.definition}{' NOT NULL' if c.name in key else ''}" for c in made]
    if key:
        listed = ", ".join(quoted(one) + draw(st.sampled_from(("", "", " DESC"))) for one in key)
        parts.append(draw(st.sampled_from(("PRIMARY KEY", "UNIQUE KEY `u k`"))) + f" ({listed})")
    if keyable and draw(st.booleans()):
        parts.append(f"KEY second ({quoted(draw(st.sampled_from(keyable)))})")
    charset = draw(st.sampled_from(("utf8mb4", "latin1")))
    create = f"CREATE TABLE {quoted(name)} ({', '.join(parts)}) ENGINE=InnoDB CHARSET={charset}"
    listed = ", ".join(quoted(c.name) for c in made)
    row = st.tuples(
        *(
            c.values if c.name in key else st.one_of(c.values, c.values, st.just("NULL"))
            for c in made
        )
    )
    rows = draw(st.lists(row, max_size=30))
    return GeneratedTable(
        name,
        tuple(c.name for c in made),
        create,
        tuple(f"({listed}) VALUES ({', '.join(cells)})" for cells in rows),
    )
