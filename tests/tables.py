"""Tables that tests read and write, and their specs without tablevault's own catalog."""

from __future__ import annotations

from tablevault.model import Column
from tablevault.mysql.connect import Connection
from tablevault.rows.kinds import ColumnSpec, spec_of

AWKWARD = (
    "CREATE TABLE awkward (id INT UNSIGNED NOT NULL PRIMARY KEY, n BIGINT, f FLOAT, d DOUBLE, "
    "a DECIMAL(20,4), s VARCHAR(300), l TEXT CHARACTER SET latin1, b LONGBLOB, v VARBINARY(20), "
    "dt DATETIME(3), day DATE, t TIME(6), e ENUM('x','y,z'), bits BIT(9)) CHARACTER SET utf8mb4"
)
AWKWARD_ROWS = (
    "INSERT INTO awkward VALUES "
    "(1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),"
    "(2,-9223372036854775808,-1.5,1e300,-12345.6789,'','','','','0000-00-00','0000-00-00',"
    "'-838:59:59','x',b'0'),"
    "(3,0,0,0,0,'ä😀\\\\t\\t\\n\\0',_latin1 X'E480FF',X'FB00FFFE0A5C4E','a\\0b',"
    "'2024-02-29 23:59:59.999','2020-00-15','00:00:00.000001','y,z',b'101010101'),"
    "(4,1,1e-7,-0.1,1,REPEAT('q',250),REPEAT('r',251),REPEAT('s',65535),'','1000-01-01',"
    "'9999-12-31','838:59:59','x',b'1'),"
    "(5,2,3,4,5,REPEAT('ü',300),REPEAT('t',252),REPEAT('u',65536),'0','2000-01-01',"
    "'2000-01-01','00:00:00','x',b'1')"
)


def select(specs: tuple[ColumnSpec, ...], schema: str, table: str, order: str = "") -> str:
    """The statement that a snapshot sends for these specs."""
    from tablevault.mysql.sql import select_expression

    expressions = ", ".join(select_expression(spec) for spec in specs)
    text = f"SELECT {expressions} FROM `{schema}`.`{table}`"
    return f"{text} ORDER BY {order}" if order else text


def specs_in(conn: Connection, schema: str, table: str) -> tuple[ColumnSpec, ...]:
    """The specs of a table's columns, none of them generated."""
    rows = conn.query(
        "SELECT COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, CHARACTER_SET_NAME, NUMERIC_PRECISION, "
        "COALESCE(NUMERIC_SCALE, DATETIME_PRECISION) FROM information_schema.COLUMNS "
        f"WHERE TABLE_SCHEMA = '{schema}' AND TABLE_NAME = '{table}' ORDER BY ORDINAL_POSITION"
    )
    return tuple(
        spec_of(
            Column(
                name=(name or b"").decode(),
                column_type=(column_type or b"").decode(),
                data_type=(data_type or b"").decode(),
                nullable=True,
                charset=charset.decode() if charset else None,
                precision=int(precision) if precision else None,
                scale=int(scale) if scale else None,
            )
        )
        for name, column_type, data_type, charset, precision, scale in rows
    )
