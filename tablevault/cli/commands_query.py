"""`query`: SQL over a snapshot, without a server."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from tablevault.cli import cells, completing, parser, units
from tablevault.cli.invocation import invocation
from tablevault.cli.output import say, tell
from tablevault.cli.parser import Command, option
from tablevault.cli.running import finish
from tablevault.cli.target import open_vault, setting
from tablevault.cli.units import printable
from tablevault.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from tablevault.ops.query import QueryResult

_SHOWN_ROWS = 1000
_CSV_ROWS = 1000  # written at a time


@click.command("query", cls=Command, exits=(4, 6))
@click.argument("snapshot", metavar="SNAPSHOT", shell_complete=completing.snapshots)
@click.argument("sql", metavar="SQL")
@option("--csv", is_flag=True, help="Print all rows as CSV, names first.")
@option(
    "--rows",
    type=click.IntRange(1),
    default=_SHOWN_ROWS,
    show_default=True,
    metavar="N",
    help="Rows of the table that is shown; --csv and --json give all.",
)
@parser.threads_option
@parser.vault_option
@click.pass_context
def query_command(
    ctx: click.Context, /, snapshot: str, sql: str, csv: bool, rows: int, **_: object
) -> int:
    """Run one SELECT over a snapshot, without restoring it and without a server.

    The snapshot's tables are "schema"."table", or "table" alone when it has one schema only. SQL
    is DuckDB's; "-" reads it from standard input. Nothing but these tables can be read, and
    nothing written. Values that no type of DuckDB can hold (a zero date) read as NULL, and a hint
    says so. Needs DuckDB: pip install 'tablevault[query]'.
    """
    from tablevault.ops.options import DEFAULT_THREADS
    from tablevault.ops.query import query

    about = invocation(ctx)
    if csv and about.json:
        raise UsageError("--csv and --json are two forms of the same rows", hint="give one of them")
    statement = sys.stdin.read() if sql == "-" else sql
    threads = setting(ctx, "threads") or DEFAULT_THREADS
    with query(open_vault(ctx), snapshot, statement, threads=threads) as result:
        about.snapshot = result.snapshot
        if not about.quiet:
            for hint in result.hints:
                tell(f"hint: {printable(hint)}")
        if about.json:
            return finish(ctx, _record(result), "")
        if csv:
            _say_csv(result)
            return EXIT_OK
        return finish(ctx, {}, _table(result, rows))


def _record(result: QueryResult) -> dict[str, Any]:
    answer = result.answer
    return {
        "snapshot": result.snapshot,
        "columns": [
            {"name": name, "type": kind}
            for name, kind in zip(answer.columns, answer.types, strict=True)
        ],
        "rows": [[cells.for_json(value) for value in row] for row in answer.rows],
        "hints": list(result.hints),
    }


def _say_csv(result: QueryResult) -> None:
    say(cells.csv_line(result.answer.columns))
    while block := list(islice(result.answer.rows, _CSV_ROWS)):
        say("\n".join(map(cells.csv_line, block)))


def _table(result: QueryResult, most: int) -> str:
    answer = result.answer
    shown = list(islice(answer.rows, most))
    further = next(answer.rows, None) is not None
    lines = [cells.table(answer.columns, answer.types, shown)]
    ending = units.count(len(shown), "row")
    lines.append(f"the first {ending}: --csv prints all" if further else ending)
    return "\n".join(lines)
