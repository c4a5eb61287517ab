"""How does DuckDB copy a table of a server into a zstd Parquet file, and that into a table?

    .venv/rivals/bin/python bench/duckdb_copy.py dump --port 3306 --user me --table s.t t.parquet
    .venv/rivals/bin/python bench/duckdb_copy.py load --port 3306 --user me --table s.t t.parquet
    .venv/rivals/bin/python bench/duckdb_copy.py version

Runs in the environment that `scripts/setup.sh rivals` makes, and imports nothing of tablevault.
The password comes by MYSQL_PWD, which the extension reads itself.  `dump` and `load` print how
many rows they copied, `version` prints DuckDB's when the extension loads.

The tables of data.py come back as they were, by CHECKSUM TABLE.  Known to be lost or refused, as
the extension sets itself up: a zero DATETIME becomes NULL and a date without a day ends the dump,
TINYINT(1) becomes a boolean (7 comes back as 1), a DECIMAL of more than 38 digits a double.  The
table's definition is not kept, so `load` wants a table that is there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported late, so that --help answers in the other environment too
    from duckdb import DuckDBPyConnection


def main() -> None:
    options = _options()
    with _session() as session:
        if options.action == "version":
            print(_first(session, "SELECT version()").removeprefix("v"))
            return
        session.execute(f"SET threads = {options.threads}")
        where = f"host={options.host} port={options.port} user={options.user}"
        session.execute(f"ATTACH {_text(where)} AS server (TYPE mysql)")
        copy = {"dump": _dump, "load": _load}[options.action]
        print(copy(session, f"server.{options.table}", _text(options.file)))


def _options() -> argparse.Namespace:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = made.add_subparsers(dest="action", required=True)
    actions.add_parser("version", help="print DuckDB's version when the extension loads")
    for action, about in (("dump", "table to file"), ("load", "file to existing table")):
        one = actions.add_parser(action, help=about)
        one.add_argument("--host", default="127.0.0.1")
        one.add_argument("--port", type=int, required=True)
        one.add_argument("--user", required=True)
        one.add_argument("--table", required=True, metavar="SCHEMA.TABLE")
        one.add_argument("--threads", type=int, default=2)
        one.add_argument("file")
    return made.parse_args()


def _session() -> DuckDBPyConnection:
    """DuckDB with the extension of its very version; it loads no other."""
    import duckdb
    import duckdb_extension_mysql_scanner as wheel

    folder = Path(wheel.__file__).parent / f"extensions/v{duckdb.__version__}"
    session = duckdb.connect()
    session.execute(f"LOAD {_text(str(folder / 'mysql_scanner.duckdb_extension'))}")
    return session


def _dump(session: DuckDBPyConnection, table: str, file: str) -> str:
    """One SELECT on one connection, which is consistent by itself."""
    how = "FORMAT parquet, COMPRESSION zstd"
    return _first(session, f"COPY (SELECT * FROM {table}) TO {file} ({how})")


def _load(session: DuckDBPyConnection, table: str, file: str) -> str:
    """INSERTs of 8 KB on one connection, all in one transaction."""
    return _first(session, f"INSERT INTO {table} SELECT * FROM read_parquet({file})")


def _first(session: DuckDBPyConnection, statement: str) -> str:
    """The first value of what a statement gives: of a copy, how many rows it has copied."""
    row = session.execute(statement).fetchone()
    return str(row[0]) if row else ""


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


if __name__ == "__main__":
    main()
