"""`snapshot`, and what looks at snapshots without a server: `list`, `show`."""

from __future__ import annotations

import time

import click

from tablevault.cli import completing, parser, types
from tablevault.cli.invocation import invocation
from tablevault.cli.parser import Command, option
from tablevault.cli.running import finish, observed
from tablevault.cli.target import (
    connect_options,
    open_vault,
    setting,
    state_dir,
    table_patterns,
)

LOCKS = ("auto", "ftwrl", "tables", "none")


@click.command("snapshot", cls=Command, exits=(4, 5, 7))
@click.argument("tables", nargs=-1, metavar="[TABLE]...", shell_complete=completing.tables)
@option("--name", metavar="NAME", help="Name to end the snapshot's id with.")
@parser.threads_option
@option(
    "--chunk-size",
    type=types.size,
    metavar="SIZE",
    help="Uncompressed bytes a chunk (default 64M).",
)
@option(
    "--compression-level",
    type=click.IntRange(1, 22),
    metavar="N",
    help="zstd level (default 3).",
)
@option(
    "--lock",
    type=click.Choice(LOCKS),
    help="Lock that makes it consistent (default auto, the gentlest that the account may take).",
)
@option(
    "--lock-wait",
    type=types.duration,
    metavar="S",
    help="Give the lock up after this time (default 30s).",
)
@option(
    "--ddl-wait",
    type=types.duration,
    metavar="S",
    help="Give way to a DDL that has waited for us this long (default 20s).",
)
@option("--where", metavar="SQL", help="Only rows for which this holds: a partial snapshot.")
@option(
    "--incremental",
    is_flag=True,
    help="Take over chunks in which nothing has changed since the newest snapshot of each table.",
)
@option(
    "--base",
    metavar="SNAPSHOT",
    shell_complete=completing.snapshots,
    help="The same, since this snapshot.",
)
@option(
    "--tablespace",
    is_flag=True,
    help="Keep a copy of each table's InnoDB tablespace, too (docs/TABLESPACE.md).",
)
@option(
    "--tablespace-lock",
    type=types.duration,
    metavar="S",
    help="How long tables may be locked while these are copied (default 30s).",
)
@parser.vault_option
@parser.state_dir_option
@parser.connection_options
@click.pass_context
def snapshot_command(
    ctx: click.Context,
    /,
    tables: tuple[str, ...],
    name: str | None,
    chunk_size: int | None,
    compression_level: int | None,
    lock: str | None,
    lock_wait: float | None,
    ddl_wait: float | None,
    where: str | None,
    incremental: bool,
    base: str | None,
    tablespace: bool,
    tablespace_lock: float | None,
    **_: object,
) -> int:
    """Take a consistent snapshot of tables.

    TABLE is schema.table and may hold * and ?; without any, all tables of the account are taken.
    The last line printed is the snapshot's id.
    """
    from tablevault.cli import records, render
    from tablevault.ops.options import SnapshotOptions
    from tablevault.ops.snapshot import snapshot

    given = {
        "name": name,
        "threads": setting(ctx, "threads"),
        "chunk_bytes": chunk_size,
        "compression_level": compression_level,
        "lock": lock,
        "lock_wait_s": lock_wait,
        "ddl_wait_s": ddl_wait,
        "where": where,
        "incremental": incremental,
        "base": base,
        "tablespace": tablespace,
        "tablespace_lock_s": tablespace_lock,
    }
    options = SnapshotOptions(
        patterns=table_patterns(ctx, tables),
        **{key: value for key, value in given.items() if value is not None},
    )
    with observed(ctx) as observer:
        target = connect_options(ctx)
        store = open_vault(ctx, create=True)
        taken = snapshot(target, store, options, observer, state_dir=state_dir(ctx))
    about = invocation(ctx)
    text = taken.id if about.quiet else f"{render.snapshot_text(taken)}\n{taken.id}"
    return finish(ctx, {"run": about.run, **records.snapshot_record(taken)}, text)


@click.command("list", cls=Command, exits=(4, 6))
@parser.vault_option
@click.pass_context
def list_command(ctx: click.Context, /, **_: object) -> int:
    """List the snapshots of the vault, oldest first.

    Those that cannot be used are listed too, and why.
    """
    from tablevault.cli import records, render
    from tablevault.vault.catalog import list_snapshots
    from tablevault.vault.proofs import drills

    store = open_vault(ctx)
    listed, rehearsed = list_snapshots(store), drills(store)
    if invocation(ctx).quiet:
        text = "\n".join(item.id for item in listed if item.snapshot is not None)
    else:
        text = render.list_text(listed, rehearsed)
    found = [records.listed_record(item, rehearsed) for item in listed]
    return finish(ctx, {"snapshots": found}, text)


@click.command("show", cls=Command, exits=(4, 6))
@click.argument("snapshot", metavar="SNAPSHOT", shell_complete=completing.snapshots)
@option("--create", is_flag=True, help="Print the tables' CREATE TABLE statements instead.")
@parser.vault_option
@click.pass_context
def show_command(ctx: click.Context, /, snapshot: str, create: bool, **_: object) -> int:
    """Show what a snapshot holds: server, instant, tables, sizes; and what was proven of it.

    SNAPSHOT is an id, the start of one, a name, or "latest".
    """
    from tablevault.cli import records, render
    from tablevault.vault.catalog import resolve
    from tablevault.vault.memory import Memory
    from tablevault.vault.proofs import drills

    store = open_vault(ctx)
    found = resolve(store, snapshot)
    rehearsed, memory = drills(store, found.id), Memory(store, found, time.time())
    record = {
        **records.snapshot_record(found),
        "verified": [records.verified_record(entry, memory) for entry in found.tables],
        "drills": [records.proof_record(proof) for proof in rehearsed],
    }
    if not create:
        return finish(ctx, record, render.show_text(found, rehearsed, memory))
    statements = {str(one.definition.table): one.definition.create_sql for one in found.tables}
    # Verbatim, unlike everything else that is printed: it is meant to be run.
    text = "\n\n".join(f"{statement};" for statement in statements.values())
    return finish(ctx, {**record, "create": statements}, text)
