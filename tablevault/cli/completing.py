"""What a shell may complete: snapshots, their tables, runs.  Never an error, never output.

The vault and the folder of runs are those of the command line so far, of the environment or of the
configuration; without them there is nothing to complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from tablevault.errors import TablevaultError

if TYPE_CHECKING:
    from tablevault.model import Snapshot

_Items = list[CompletionItem]


def _quietly(
    find: Callable[[click.Context], Iterable[tuple[str, str]]],
) -> Callable[[click.Context, click.Parameter, str], _Items]:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> _Items:
        try:
            found = list(find(ctx))
        except (TablevaultError, OSError, ValueError):
            return []
        return [
            CompletionItem(word, help=about)
            for word, about in found
            if word.startswith(incomplete) and word.isprintable()
        ]

    return complete


def _snapshots(ctx: click.Context) -> Iterable[tuple[str, str]]:
    from tablevault.cli.target import open_vault
    from tablevault.cli.units import age
    from tablevault.vault.catalog import list_snapshots

    usable = [item.snapshot for item in list_snapshots(open_vault(ctx)) if item.snapshot]
    if usable:
        yield "latest", "the newest one"
    for snapshot in reversed(usable):
        yield snapshot.id, age(snapshot.created)
    for name in dict.fromkeys(snapshot.name for snapshot in reversed(usable) if snapshot.name):
        yield name, "the newest of this name"


def _tables(ctx: click.Context) -> Iterable[tuple[str, str]]:
    for entry in _meant(ctx).tables:
        yield str(entry.definition.table), f"{entry.digest.rows:,} rows"


def _meant(ctx: click.Context) -> Snapshot:
    """The snapshot on the command line, else the newest: its tables are likely to be there yet."""
    from tablevault.cli.target import open_vault
    from tablevault.vault.catalog import resolve

    return resolve(open_vault(ctx), ctx.params.get("snapshot") or "latest")


def _runs(ctx: click.Context) -> Iterable[tuple[str, str]]:
    from tablevault.cli.target import state_dir
    from tablevault.ops.overview import list_lines

    for line in reversed(list_lines(state_dir(ctx))):
        yield line.run, f"{line.operation}, {line.state}"


snapshots = _quietly(_snapshots)
tables = _quietly(_tables)
runs = _quietly(_runs)
