"""What does it cost to know that nothing changed, and what to find what did?

    python bench/bench_diff.py --scale 1 --rounds 3 [--table lineitem]

The whole command line of `tablevault diff` beside the plain scan that it lives on: the same digest
over the same number of connections, each with an equal part of the key, and nothing else.  CHECKSUM
TABLE and pt-table-checksum (where it is there) tell as much or less of a table.  Then ours again
with one row in a hundred damaged in scattered places, and with one column of every row.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
from pathlib import Path

import data
from harness import OURS, Contender, keep, name_of, ours, parser, race, run
from judge import Goal, figures, judged
from server import private_server, server_version

from tablevault.demo.programs import find_program
from tablevault.demo.server import PrivateServer
from tablevault.model import Key, KeyColumn, KeyRange, TableName
from tablevault.mysql import catalog
from tablevault.mysql.connect import ConnectOptions, connect
from tablevault.mysql.sql_digest import digest_query
from tablevault.rows.kinds import specs_of

BARE = "the digest alone"
GOALS = (Goal(BARE, "time_ratio", least=1 / 1.2),)
_KEYS = {"lineitem": ("l_orderkey", "l_linenumber"), "orders": ("o_orderkey",)}
_COLUMNS = {"lineitem": "l_quantity", "orders": "o_totalprice"}


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--table", choices=_KEYS, default="lineitem")
    options = made.parse_args()
    with private_server(options) as server:
        rows = data.load(server, options.table, options.scale)
        vault = server.directory / "vault"
        table = f"{data.SCHEMA}.{options.table}"
        run(ours("snapshot", table, "--vault", str(vault), server=server), server)
        equal = _contenders(server, options, vault)
        race(equal, server, options.rounds)
        damaged = []
        for name, damage in _damages(options.table).items():
            server.sql(damage)
            damaged.append(_finds(name, server, options, vault))
            race(damaged[-1:], server, options.rounds)
        found = figures([*equal, *damaged])
        keep(
            options,
            name_of("diff", options.table, options),
            f"Diff of {options.table}, {rows:,} rows",
            {"rows": rows, "figures": found, "goals": judged(found, GOALS)},
            server=server_version(server),
        )


def _contenders(server: PrivateServer, options: argparse.Namespace, vault: Path) -> list[Contender]:
    bare = _together([_client(server, text) for text in _digest_queries(server, options)])
    table = f"{data.SCHEMA}.{options.table}"
    found = [
        Contender(OURS, lambda: _diff(server, options, vault), note="nothing differs"),
        Contender(BARE, lambda: bare, note=f"{options.threads} connections"),
        Contender(
            "CHECKSUM TABLE",
            lambda: _together([_client(server, f"CHECKSUM TABLE {table}")]),
            note="one connection",
        ),
    ]
    if checksum := shutil.which("pt-table-checksum"):
        words = [
            checksum,
            f"--tables={table}",
            "--no-check-binlog-format",
            "--quiet",
            f"h={server.host},P={server.port},u={server.user},p={server.password}",
        ]
        found.append(Contender("pt-table-checksum", lambda: words))
    return found


def _damages(table: str) -> dict[str, str]:
    column, key = _COLUMNS[table], ", ".join(_KEYS[table])
    where = f"CRC32(CONCAT_WS('-', {key})) % 100 = 0"
    update = f"UPDATE {data.SCHEMA}.{table} SET {column} = {column} + 1"
    return {
        "tablevault, 1 % of the rows changed": f"{update} WHERE {where}",
        "tablevault, a column of every row changed": update,
    }


def _finds(name: str, server: PrivateServer, options: argparse.Namespace, vault: Path) -> Contender:
    command = shlex.join(_diff(server, options, vault))
    return Contender(name, lambda: ["bash", "-c", f"{command}; test $? = 3"], rival=False)


def _diff(server: PrivateServer, options: argparse.Namespace, vault: Path) -> list[str]:
    threads = ["--threads", str(options.threads)]
    return ours("diff", "latest", "--vault", str(vault), *threads, server=server)


def _digest_queries(server: PrivateServer, options: argparse.Namespace) -> list[str]:
    """The digest of the whole table, in as many equal parts of its key as there are workers."""
    table = TableName(data.SCHEMA, options.table)
    target = ConnectOptions(server.host, server.port, server.user, server.password)
    with connect(target) as conn:
        definition = catalog.table_definition(conn, table)
        family = conn.server.family
    first = _KEYS[options.table][0]
    key = Key("PRIMARY", (KeyColumn(first),))
    top = int(server.sql(f"SELECT MAX({first}) FROM {data.SCHEMA}.{options.table}"))
    cuts = [(b"%d" % (top * at // options.threads),) for at in range(1, options.threads)]
    specs = specs_of(table, definition.columns, family)
    return [
        digest_query(table, specs, definition.columns, family, key, KeyRange(lo, hi))
        for lo, hi in zip([None, *cuts], [*cuts, None], strict=True)
    ]


def _client(server: PrivateServer, statement: str) -> list[str]:
    client = find_program("mariadb")
    where = ["-h", server.host, "-P", str(server.port), "-u", server.user]
    return [str(client), *where, "-e", statement]


def _together(commands: list[list[str]]) -> list[str]:
    """One shell that runs all of them at once and waits."""
    return ["bash", "-c", " & ".join(map(shlex.join, commands)) + " & wait"]


if __name__ == "__main__":
    main()
