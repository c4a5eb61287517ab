# ruff: noqa: E501
"""Tables of every type, filled with the values at which types end.

One table a family of types; statements for a session with an empty sql_mode, so that zero and
partial dates come in.  `NULLS` follow: every column that may be NULL is NULL in one row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_BYTES = bytes(range(256))


def x(data: bytes) -> str:
    """A binary string literal."""
    return f"X'{data.hex()}'"


def u(text: str) -> str:
    """A utf8mb4 literal."""
    return f"CONVERT({x(text.encode())} USING utf8mb4)" if text else "''"


def latin1(data: bytes) -> str:
    """A latin1 literal."""
    return f"_latin1 {x(data)}" if data else "''"


@dataclass(frozen=True)
class Sample:
    """One table: its body, and for each column the values to try, one a row."""

    name: str
    columns: tuple[tuple[str, str, tuple[str, ...]], ...]  # name, definition, SQL values
    extra: str = ""  # more elements of the body
    options: str = ""
    pad_null: bool = True

    def statements(self, schema: str) -> Iterator[str]:
        """Create it and fill it: row n has every column's nth value, and NULL beyond."""
        body = ", ".join(f"`{name}` {what}" for name, what, _ in self.columns)
        extra = f", {self.extra}" if self.extra else ""
        yield (
            f"CREATE TABLE `{schema}`.`{self.name}` (id INT NOT NULL PRIMARY KEY, {body}{extra}) "
            f"ENGINE=InnoDB {self.options}"
        )
        filled = [(name, values) for name, _, values in self.columns if values]
        names = ", ".join(["id", *(f"`{name}`" for name, _ in filled)])
        count = max(len(values) for _, values in filled) + (1 if self.pad_null else 0)
        for row in range(count):
            cells = [
                values[row] if row < len(values) else "NULL" if self.pad_null else values[-1]
                for _, values in filled
            ]
            yield f"INSERT INTO `{schema}`.`{self.name}` ({names}) VALUES ({row}, {', '.join(cells)})"


def _integers() -> Sample:
    columns = []
    for name, bits in (
        ("tinyint", 8),
        ("smallint", 16),
        ("mediumint", 24),
        ("int", 32),
        ("bigint", 64),
    ):
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        values = tuple(str(n) for n in (low, low + 1, -10, -1, 0, 1, 9, 10, high - 1, high))
        columns.append((f"{name}_s", name, values))
        top = (1 << bits) - 1
        columns.append(
            (f"{name}_u", f"{name} unsigned", tuple(map(str, (0, 1, 7, high, high + 1, top))))
        )
        columns.append((f"{name}_z", f"{name}(12) unsigned zerofill", ("0", "7", "123", str(top))))
    columns.append(("small_z", "int(3) zerofill", ("0", "5", "99", "12345")))
    columns.append(("flag", "boolean", ("0", "1", "-128")))
    columns.append(("y", "year", ("0", "1901", "1970", "2000", "2155")))
    for bits in (1, 7, 8, 9, 16, 31, 33, 63, 64):
        values = (
            "b'0'",
            "b'1'",
            f"b'{'1' * bits}'",
            f"b'1{'0' * (bits - 1)}'",
            f"b'{'01' * bits}' & {2**bits - 1}",
        )
        columns.append((f"bit{bits}", f"bit({bits})", values))
    return Sample("integers", tuple(columns))


def _decimals() -> Sample:
    nines = "9" * 35 + "." + "9" * 30
    return Sample(
        "decimals",
        (
            ("d65_30", "decimal(65,30)", (nines, "-" + nines, "0." + "0" * 29 + "1", "0", "-1.5")),
            ("d65", "decimal(65)", ("9" * 65, "-" + "9" * 65, "0", "1")),
            ("d39_1", "decimal(39,1)", ("9" * 38 + ".9", "-0.1", "0")),
            ("d38", "decimal(38,0)", ("9" * 38, "-" + "9" * 38, "0")),
            ("d38_30", "decimal(38,30)", ("99999999." + "9" * 30, "-0." + "0" * 29 + "1", "0")),
            (
                "d18_2",
                "decimal(18,2)",
                ("9999999999999999.99", "-9999999999999999.99", "0.01", "-0.01"),
            ),
            ("d10_2u", "decimal(10,2) unsigned", ("0", "0.05", "99999999.99")),
            ("d12_3z", "decimal(12,3) unsigned zerofill", ("0", "1.5", "999999999.999")),
            ("d50z", "decimal(50,5) unsigned zerofill", ("0", "1.5", "9" * 45 + ".99999")),
            ("d1", "decimal(1)", ("0", "9", "-9")),
            ("d1_1", "decimal(1,1)", ("0", "0.9", "-0.9")),
            ("d30_30", "decimal(30,30)", ("0." + "9" * 30, "-0." + "0" * 29 + "1", "0")),
        ),
    )


def _floats() -> Sample:
    doubles = (
        "1.7976931348623157e308",
        "-1.7976931348623157e308",
        "2.2250738585072014e-308",
        "4.9406564584124654e-324",
        "-4.9406564584124654e-324",
        "1e-310",
        "0",
        "-0e0",
        "0.1",
        "1e15",
        "1e16",
        "123456789012345678",
        "1e-5",
        "0.0001",
        "1.5e-15",
        "2e22",
        "3.141592653589793",
        "-2.5e-7",
        "9007199254740993",
        "1e100",
        "5e-1",
        "1e14",
        "999999999999999.9",
        "0.30000000000000004",
    )
    floats = (
        "3.402823466e38",
        "-3.402823466e38",
        "1.175494351e-38",
        "1.4e-45",
        "-1.4e-45",
        "1e-40",
        "0",
        "-0e0",
        "0.1",
        "1e7",
        "16777217",
        "123456.789",
        "1e-5",
        "3.1415927",
        "2e22",
        "-7.5e-8",
        "1e15",
    )
    return Sample(
        "floats",
        (
            ("d", "double", doubles),
            ("f", "float", floats),
            ("du", "double unsigned", ("0", "1.7976931348623157e308", "4.9406564584124654e-324")),
            ("fu", "float unsigned", ("0", "3.402823466e38", "1.4e-45")),
            ("dz", "double zerofill", ("0", "1.5", "1e300")),
            ("fz", "float zerofill", ("0", "1.5", "1e30")),
            ("dd", "double(10,3)", ("0", "-1234567.891", "0.001", "9999999.999")),
            ("ff", "float(7,2)", ("0", "-12345.67", "0.01", "99999.99")),
            ("f53", "float(53)", ("0.1", "1e300")),
        ),
    )


def _temporals() -> Sample:
    dates = (
        "'0000-00-00'",
        "'2020-00-00'",
        "'2020-12-00'",
        "'2020-00-15'",
        "'0001-01-01'",
        "'1582-10-10'",
        "'1969-12-31'",
        "'1970-01-01'",
        "'2024-02-29'",
        "'9999-12-31'",
        "'2023-02-31'",
        "'0000-01-01'",
    )
    times = (
        "'-838:59:59'",
        "'838:59:59'",
        "'00:00:00'",
        "'-00:00:01'",
        "'24:00:00'",
        "'100:00:01'",
        "'23:59:59'",
    )
    fractions = (
        "'-838:59:59'",
        "'838:59:58.999999'",
        "'-00:00:00.000001'",
        "'00:00:00.000001'",
        "'25:01:02.5'",
        "'-01:00:00.5'",
        "'00:00:00'",
    )
    moments = (
        "'0000-00-00 00:00:00'",
        "'2020-00-00 00:00:00'",
        "'2020-12-00 10:11:12'",
        "'0001-01-01 00:00:00'",
        "'1969-12-31 23:59:59'",
        "'9999-12-31 23:59:59'",
        "'2023-02-31 01:02:03'",
        "'2024-03-31 02:30:00'",
    )
    micro = (
        "'0000-00-00 00:00:00'",
        "'1969-12-31 23:59:59.999999'",
        "'2020-00-15 00:00:00.000001'",
        "'9999-12-31 23:59:59.999999'",
        "'0001-01-01 00:00:00.1'",
        "'2024-02-29 12:00:00.123456'",
    )
    stamps = (
        "'0000-00-00 00:00:00'",
        "'1970-01-01 00:00:01'",
        "'2038-01-19 03:14:07'",
        "'2024-03-31 02:30:00'",
        "'2024-10-27 02:30:00'",
    )
    return Sample(
        "temporals",
        (
            ("d", "date", dates),
            ("t", "time", times),
            ("t6", "time(6)", fractions),
            ("t1", "time(1)", ("'-838:59:59'", "'12:00:00.5'", "'-00:00:00.1'")),
            ("t3", "time(3)", ("'0:0:0.001'", "'-0:0:0.001'", "'838:59:58.999'")),
            ("dt", "datetime", moments),
            ("dt6", "datetime(6)", micro),
            (
                "dt3",
                "datetime(3)",
                ("'0000-00-00 00:00:00'", "'2020-01-00 00:00:00.001'", "'1000-01-01 00:00:00.999'"),
            ),
            ("ts", "timestamp null", stamps),
            (
                "ts6",
                "timestamp(6) null",
                ("'1970-01-01 00:00:01.000001'", "'2038-01-19 03:14:07.999999'"),
            ),
            ("tsu", "timestamp null on update current_timestamp", ("'2001-02-03 04:05:06'",)),
        ),
    )


def _texts() -> Sample:
    unicode = (
        "",
        "plain",
        "tab\tnew\nline\\back\\\\slash\0nul\r",
        "\\N",
        "N",
        "NULL",
        "ä€😀",
        "😀" * 20,
        "a ",
        " ",
        "'quotes\" `and`",
        "\u200b\ufeff",
        "ᚠᛇᚻ",
        "e\u0301",
        "x" * 250,
        "x" * 251,
        "\x1a\x08",
    )
    three = tuple(text for text in unicode if "😀" not in text)
    high = bytes(range(128, 256))
    return Sample(
        "texts",
        (
            ("v4", "varchar(255) character set utf8mb4", tuple(map(u, unicode))),
            (
                "v4b",
                "varchar(255) character set utf8mb4 collate utf8mb4_bin",
                tuple(map(u, unicode)),
            ),
            ("c4", "char(255) character set utf8mb4", tuple(map(u, unicode))),
            ("v3", "varchar(255) character set utf8mb3", tuple(map(u, three))),
            (
                "l1",
                "varchar(300) character set latin1",
                (latin1(_BYTES), latin1(high), "''", latin1(b"\\N"), latin1(b"\xe4\x80")),
            ),
            ("c1", "char(200) character set latin1", (latin1(_BYTES[:200]), latin1(high), "'a  '")),
            (
                "t1",
                "text character set latin1",
                (latin1(_BYTES * 40), latin1(b""), latin1(b"\t\n\\\0")),
            ),
            ("t4", "text character set utf8mb4", tuple(map(u, unicode))),
            ("tt", "tinytext", (u("ü" * 127), "''")),
            ("mt", "mediumtext", (f"REPEAT({u('grün')}, 20000)", "''")),
            ("lt", "longtext character set utf8mb3", (f"REPEAT({u('größe')}, 9000)", "''")),
            ("ascii", "varchar(128) character set ascii", (x(bytes(range(128))), "''")),
            ("ucs2", "varchar(40) character set ucs2", (u("ä€\t\n\\"), "''")),
            ("utf16", "varchar(40) character set utf16", (u("ä€😀"), "''")),
            ("utf32", "varchar(40) character set utf32", (u("ä€😀"), "''")),
            ("sjis", "varchar(40) character set sjis", ("_sjis X'835C955C'", "'\\\\'", "''")),
            ("gbk", "varchar(40) character set gbk", ("_gbk X'B05C815C'", "'\\\\'", "''")),
            ("big5", "varchar(40) character set big5", ("_big5 X'A55CB35C'", "''")),
            ("koi8r", "varchar(200) character set koi8r", (f"_koi8r {x(high)}", "''")),
            ("cp1250", "varchar(200) character set cp1250", (f"_cp1250 {x(high)}", "''")),
            ("latin2", "varchar(200) character set latin2", (f"_latin2 {x(high)}", "''")),
            (
                "e",
                "enum('', 'a', 'b,c', 'it''s', 'ä', '€', 'tab\tx')",
                ("''", "'a'", "'b,c'", "'it''s'", "'ä'", "'€'"),
            ),
            ("e1", "enum('a','ä') character set latin1", ("'a'", "'ä'", "0")),
            ("s", "set('a','b c','ä')", ("''", "'a'", "'a,b c'", "'a,b c,ä'", "'b c,ä'")),
            ("s1", "set('x','ö') character set latin1", ("''", "'x,ö'")),
            (
                "s64",
                "set(" + ",".join(f"'m{n}'" for n in range(64)) + ")",
                ("18446744073709551615", "1", "0"),
            ),
        ),
        options="CHARACTER SET utf8mb4",
    )


def _binaries() -> Sample:
    every = (
        x(_BYTES),
        "''",
        x(b"\0\t\n\\\r'\"N\\N"),
        x(b"\xff\xfe\xfd\xfb\x00"),
        x(b"\\N"),
        x(b"\x1a"),
    )
    return Sample(
        "binaries",
        (
            ("b", "binary(16)", (x(_BYTES[:16]), "''", x(b"\\N"), x(b"\0" * 16), x(b"a "))),
            ("vb", "varbinary(300)", every),
            ("tb", "tinyblob", (x(_BYTES[:255]), "''")),
            ("bl", "blob", every),
            ("mb", "mediumblob", (f"REPEAT({x(_BYTES)}, 500)", "''")),
            ("lb", "longblob", (f"REPEAT({x(b'ab' + _BYTES)}, 400)", x(b"\t"))),
            ("cb", "varchar(300) character set binary", every),
            ("tx", "text character set binary", every),
        ),
    )


def _json() -> Sample:
    texts = (
        '{"a": 1, "b": [1, 2.5, null, true, "x"]}',
        "[]",
        "null",
        '"text"',
        "1.0",
        "1e3",
        "12345678901234567890",
        '{"k\\"uote": "tab\\t new\\n back\\\\ \\u0001 ä😀"}',
        '{"deep": {"er": [[[[1]]]]}}',
        "-0.1",
        '""',
        "{}",
        '"\\\\N"',
        "[1.7976931348623157e308, 1e-7, 0.30000000000000004]",
    )
    return Sample("jsons", (("j", "json", tuple(map(u, texts))),), options="CHARACTER SET utf8mb4")


def _geometries() -> Sample:
    texts = {
        "point": "POINT(1 2)",
        "linestring": "LINESTRING(0 0, 1.5 -2, 1e1 3)",
        "polygon": "POLYGON((0 0, 10 0, 10 10, 0 10, 0 0), (1 1, 2 1, 2 2, 1 1))",
        "multipoint": "MULTIPOINT(1 1, 2 2)",
        "multilinestring": "MULTILINESTRING((0 0, 1 1), (2 2, 3 3))",
        "multipolygon": "MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5)))",
        "geometrycollection": "GEOMETRYCOLLECTION(POINT(1 1), LINESTRING(0 0, 1 1))",
    }
    columns = [
        (f"g_{name}", name, (f"ST_GeomFromText('{text}')", f"ST_GeomFromText('{text}', 4326)"))
        for name, text in texts.items()
    ]
    anything = tuple(f"ST_GeomFromText('{text}')" for text in texts.values())
    columns.append(("g", "geometry", (*anything, "ST_GeomFromText('POINT(-179.5 89.25)', 0)")))
    return Sample("geometries", tuple(columns))


SAMPLES = (
    _integers(),
    _decimals(),
    _floats(),
    _temporals(),
    _texts(),
    _binaries(),
    _json(),
    _geometries(),
)


def special(family: str) -> str:
    """A table with all that stands around values: generated, invisible, defaults, checks, quotes."""
    maria = family == "mariadb"
    compressed = "note VARCHAR(2000) COMPRESSED DEFAULT NULL," if maria else ""
    functional = "" if maria else ", KEY fx ((UPPER(name)))"
    return f"""
      id INT NOT NULL AUTO_INCREMENT,
      name VARCHAR(60) NOT NULL DEFAULT 'it''s \\\\ "x"' COMMENT 'a ''quoted'' `comment`, with (parens) \\\\ \\n/* c */',
      virt INT GENERATED ALWAYS AS (hidden * 2) VIRTUAL,
      amount DECIMAL(10,2) NOT NULL DEFAULT (1 + 1),
      stor VARCHAR(70) GENERATED ALWAYS AS (CONCAT(name, '-x')) STORED,
      hidden INT INVISIBLE DEFAULT 7,
      {compressed}
      made DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
      tag VARCHAR(40) DEFAULT (CONCAT('a', 'b')),
      g POINT NOT NULL {"" if maria else "SRID 4326"},
      body TEXT,
      positive INT CHECK (positive > 0),
      PRIMARY KEY (id),
      UNIQUE KEY `odd ``key` (name, positive),
      KEY `pre` (body(10), name(5)),
      KEY `down` (amount DESC, id),
      KEY vk (virt),
      FULLTEXT KEY ft (body),
      SPATIAL KEY sp (g),
      CONSTRAINT `amount (not) 'neg'` CHECK (amount >= 0 AND name <> 'a)b' AND tag <> '`')
      {functional}"""


def special_rows(schema: str) -> Iterator[str]:
    """Rows for `special`, one of them with the id 0."""
    point = "ST_GeomFromText('POINT({} {})', {})"
    yield "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'"
    for number in (0, 1, 5, 1000, -3):
        yield (
            f"INSERT INTO `{schema}`.special (id, name, amount, hidden, g, body, positive) VALUES "
            f"({number}, 'n{number}', {abs(number)}.25, {number}, "
            f"{{point}}, REPEAT('word{number} ', 40), {abs(number) + 1})"
        ).replace("{point}", point.format(1, 2, "{srid}"))
