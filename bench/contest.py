"""A race of one table: ours and its rivals on a private server, judged and kept."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import data
from harness import Contender, chosen, keep, name_of, parser, race
from judge import Goal, figures, judged
from rivals import Rivals
from server import ROOM_BYTES_PER_SCALE, ROOM_OF_FEW, private_server, server_version

from tablevault.demo.server import PrivateServer

_ON = {"mysql": ", on MySQL", "mariadb-new": ", on a newer MariaDB"}
Contenders = Callable[[PrivateServer, argparse.Namespace, Path, Rivals], list[Contender]]


def contest(about: str, kind: str, contenders: Contenders, goals: Sequence[Goal]) -> None:
    """Read the options, load the table, race whom `contenders` names, judge and keep.

    `about` is the script's docstring, `kind` "snapshot" or "restore".
    """
    made = parser(about)
    made.add_argument("--table", choices=data.TABLES, default="lineitem")
    options = made.parse_args()
    room = ROOM_OF_FEW if options.only else ROOM_BYTES_PER_SCALE
    with private_server(options, room) as server:
        rows = data.load(server, options.table, options.scale)
        place = server.directory / "out"
        place.mkdir()
        rivals = Rivals(server, options.table, rows, options.threads, place, options.binlog)
        racing = chosen(contenders(server, options, place, rivals), options.only)
        race(racing, server, options.rounds)
        found = figures(racing)
        # The goals are of the table with a name, the other shapes show where they do not hold.
        met = judged(found, goals) if options.table == "lineitem" else []
        keep(
            options,
            name_of(kind, options.table, options),
            f"{kind.capitalize()} of {options.table}, {rows:,} rows{_ON.get(options.server, '')}",
            {"rows": rows, "figures": found, "goals": met},
            server=server_version(server),
        )
