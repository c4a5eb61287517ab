"""What a shell may complete: snapshots, tables, runs, names of the configuration, files.

Never an error, never output.

The vault and the folder of runs are those of the command line so far, of the environment or of the
configuration; without them there is nothing to complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
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


def _tables_or_second(ctx: click.Context) -> Iterable[tuple[str, str]]:
    """Of `diff`: tables, and in the first place also the snapshot to compare with."""
    if not ctx.params.get("tables"):
        yield from _snapshots(ctx)
    yield from _tables(ctx)


def _schemas(ctx: click.Context) -> Iterable[tuple[str, str]]:
    for schema in dict.fromkeys(entry.definition.table.schema for entry in _meant(ctx).tables):
        yield schema, "as in the snapshot"


def _diffs(ctx: click.Context) -> Iterable[tuple[str, str]]:
    yield "latest", "the newest diff"
    yield "never", "compare anew"
    yield from _runs(ctx)


def _named(section: str) -> Callable[[click.Context], Iterable[tuple[str, str]]]:
    """The names of [section.NAME] in the configuration, however the rest of it may look."""

    def find(ctx: click.Context) -> Iterable[tuple[str, str]]:
        import tomllib

        from tablevault.cli.config import default_paths
        from tablevault.cli.invocation import invocation

        given = invocation(ctx).config
        for path in (Path(given).expanduser(),) if given else default_paths():
            with suppress(OSError):
                found = tomllib.loads(path.read_text(encoding="utf-8")).get(section)
                for name in found if isinstance(found, dict) else ():
                    yield name, str(path)

    return find


def of_metavar(metavar: str | None, incomplete: str) -> _Items | None:
    """Files and folders, for an option whose value is one; the shell itself looks for them."""
    kinds = {"FILE": "file", "DIR": "dir", "URI": "dir"}
    kind = kinds.get(metavar or "")
    return [CompletionItem(incomplete, type=kind)] if kind else None


snapshots = _quietly(_snapshots)
tables = _quietly(_tables)
tables_or_second = _quietly(_tables_or_second)
schemas = _quietly(_schemas)
runs = _quietly(_runs)
diffs = _quietly(_diffs)
jobs = _quietly(_named("job"))
profiles = _quietly(_named("profile"))
servers = _quietly(_named("server"))
retentions = _quietly(_named("retention"))
