"""Hypothesis strategies for columns of every type: definition and values, as SQL."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

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
class Form:
    """What a column may be: its type, the literals of its values, whether a key may hold it."""

    type: str
    values: Literals
    keyable: bool
    prefixed: bool = False  # only a prefix of it can be in a key
    defaults: tuple[str, ...] = ()  # a default must fit, whatever the sql_mode

    @property
    def whole_number(self) -> bool:
        """Whether partitions may be ranges of it."""
        return "int" in self.type.split("(")[0].split()[0]


def literal(text: str) -> str:
    """A string literal of the client's charset."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


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
def _numbers(draw: st.DrawFn) -> Form:
    name, bits = draw(
        st.sampled_from([("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32)])
        | st.just(("bigint", 64))
    )
    if draw(st.booleans()):
        form = draw(st.sampled_from(("{} unsigned", "{}(9) unsigned zerofill"))).format(name)
        return Form(form, st.integers(0, (1 << bits) - 1).map(str), True, defaults=("1 + 2", "0"))
    numbers = st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1).map(str)
    return Form(name, numbers, True, defaults=("-3 * 2", "'7'"))


@st.composite
def _decimals(draw: st.DrawFn) -> Form:
    digits = draw(st.integers(1, 65))
    scale = draw(st.integers(0, min(digits, 30)))
    most = 10**digits - 1
    values = st.integers(-most, most).map(lambda n: f"{n}e-{scale}")
    exact = st.integers(-most, most).map(
        lambda n: f"{'-' if n < 0 else ''}{abs(n) // 10**scale}.{abs(n) % 10**scale:0{scale or 1}d}"
    )
    return Form(f"decimal({digits},{scale})", st.one_of(values, exact), True, defaults=("0", "0e0"))


@st.composite
def _floats(draw: st.DrawFn) -> Form:
    width = draw(st.sampled_from((32, 64)))
    numbers = st.floats(width=width, allow_nan=False, allow_infinity=False)
    name = "float" if width == 32 else "double"
    return Form(name, _quoted(numbers.map(repr)), False, defaults=("1e10", "-0.1", "PI()"))


_DATES = ("'2020-02-29'", "CURRENT_TIMESTAMP", "TIMESTAMP '2001-02-03 04:05:06'")


@st.composite
def _times(draw: st.DrawFn) -> Form:
    scale = draw(st.integers(0, 6))
    kind = draw(st.sampled_from(("date", "datetime", "timestamp", "time", "year")))
    if kind == "year":
        years = st.one_of(st.just("0"), st.integers(1901, 2155).map(str))
        return Form("year", years, True, defaults=("2020",))
    odd = st.sampled_from(("0000-00-00", "2020-00-00", "2020-02-31", "9999-12-31"))
    if kind == "date":
        return Form("date", _quoted(st.one_of(st.dates(), odd)), True, defaults=_DATES)
    if kind == "time":
        clock = st.builds(
            lambda sign, h, m, s, f: f"{sign}{h:02d}:{m:02d}:{s:02d}.{f:06d}",
            st.sampled_from(("", "-")),
            st.integers(0, 838),
            *[st.integers(0, 59)] * 2,
            st.integers(0, 999_999),
        )
        return Form(f"time({scale})", _quoted(clock), True, defaults=("'-11:22:33.5'",))
    moments = st.datetimes().map(lambda moment: moment.isoformat(" "))
    return Form(f"{kind}({scale})", _quoted(st.one_of(moments, odd)), True, defaults=_DATES)


@st.composite
def _texts(draw: st.DrawFn, kind: str) -> Form:
    wide = (*OTHERS, "gb18030") if kind == "mysql" else OTHERS
    charset = draw(st.sampled_from(wide) | st.sampled_from(SINGLE_BYTE))
    name = draw(st.sampled_from(("varchar(40)", "char(20)", "text", "mediumtext")))
    values = _text(_WORDS)
    if charset in SINGLE_BYTE:
        values |= _BYTES.filter(bool).map(lambda data: f"_{charset} {_hex(data)}")
    collation = f" collate {charset}_bin" if draw(st.booleans()) else ""
    defaults = ("'it''s'", "'%s \\\\ (\"`'", "CONCAT('a', UPPER('b'))", "_utf8mb4 X'6162'", "''")
    if charset == "swe7":  # has no backslash
        defaults = defaults[:1]
    form = f"{name} character set {charset}{collation}"
    return Form(form, values, True, "(" not in name, defaults)


@st.composite
def _binaries(draw: st.DrawFn) -> Form:
    kind = draw(st.sampled_from(("binary(8)", "varbinary(30)", "blob", "longblob", "bit")))
    if kind == "bit":
        bits = draw(st.integers(1, 64))
        return Form(
            f"bit({bits})", st.integers(0, (1 << bits) - 1).map(str), True, defaults=("b'1'",)
        )
    return Form(kind, _BYTES.map(_hex), True, "(" not in kind, ("X'00ff27'", "'a\\\\b'", "''"))


_LETTERS = (("utf8mb4", "é ßж中€"), ("latin1", "é ßÿ"), ("koi8r", "жЯ"), ("ucs2", "ж中"))
_ODD_MEMBERS = ("0", "1", "2", "-1", "1e1", "NULL", "\\N", "it's", "a b", "back\\slash", " lead")


@st.composite
def _members(draw: st.DrawFn) -> Form:
    kind = draw(st.sampled_from(("enum", "set")))
    charset, letters = draw(
        st.sampled_from(
            (("utf8mb4", "é ßж中€"), ("latin1", "é ßÿ"), ("koi8r", "жЯ"), ("ucs2", "ж中"))
        )
    )
    texts = st.text(st.sampled_from("ab01'\\_-%" + letters), min_size=1, max_size=6)
    if kind == "enum":  # a comma ends a member of a SET
        texts |= st.sampled_from(("", "a,b", ","))
    members = (texts | st.sampled_from(_ODD_MEMBERS)).map(str.rstrip)
    wanted = st.lists(
        members.filter(bool) if kind == "set" else members, min_size=1, max_size=9, unique=True
    )
    names = draw(wanted)
    most = len(names) if kind == "enum" else (1 << len(names)) - 1
    # 0 of an ENUM is its error value: beside a member '' it is refused
    values = st.integers(1 if kind == "enum" and "" in names else 0, most).map(str)
    listed = ",".join(map(literal, names))
    form = f"{kind}({listed}) character set {charset} collate {charset}_bin"
    return Form(form, values, kind == "enum", defaults=(literal(names[-1]),))


_JSON = st.recursive(
    st.sampled_from(("null", "true", "0", "-1", "1.5", "1e30", "-0.0", "123456789012345678901"))
    | st.integers(-(1 << 63), (1 << 64) - 1).map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | _WORDS.map(json.dumps)
    | _WORDS.map(lambda text: json.dumps(text, ensure_ascii=False)),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda some: f"[{', '.join(some)}]")
        | st.lists(
            st.tuples(st.sampled_from(("", "a", "b", "$", "k'\"ä\\")).map(json.dumps), inner),
            max_size=4,  # with the same key twice
        ).map(lambda some: "{" + ", ".join(f"{key}: {value}" for key, value in some) + "}")
    ),
    max_leaves=8,
)


def _special(kind: str) -> list[Form]:
    point = st.builds(
        lambda x, y: f"ST_GeomFromText('POINT({x} {y})')", *[st.integers(-90, 90)] * 2
    )
    found = [
        Form("json", _text(_JSON), False, defaults=("'[1, {}]'", "JSON_ARRAY('x', 2)")),
        Form("geometry", point, False),
        Form("boolean", st.sampled_from(("0", "1")), True, defaults=("TRUE",)),
    ]
    if kind != "mysql":
        found += [
            Form("uuid", _quoted(st.uuids()), True),
            Form("inet4", _quoted(st.ip_addresses(v=4)), True),
            Form("inet6", _quoted(st.ip_addresses(v=6)), True),
        ]
    if kind != "mariadb":
        units = st.lists(st.integers(0, 127), min_size=12, max_size=12)
        # the highest byte of a float below 0x7f: neither infinite nor no number
        vector = units.map(lambda some: _hex(bytes(min(one, 0x7E) for one in some)))
        found.append(Form("vector(3)", vector, False))
    return found


@st.composite
def forms(draw: st.DrawFn, kind: str) -> Form:
    """Any column that a server of this kind has."""
    families: list[Callable[[], st.SearchStrategy[Form]]] = [
        *(_numbers, _decimals, _floats, _times, _binaries, _members),
        *[lambda: _texts(kind)] * 2,
        lambda: st.sampled_from(_special(kind)),
    ]
    return draw(draw(st.sampled_from(families))())
