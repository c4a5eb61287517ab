"""Which tables a job works on, and who else is at work on them.

Two jobs never work on the same table of a vault at the same time; on others they do.  What a job
claims is decided before its first step, by the patterns of all its steps, and held until its end.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from tablevault.cli.invocation import Invocation
from tablevault.cli.output import tell
from tablevault.cli.target import table_patterns, table_words
from tablevault.cli.units import age, printable
from tablevault.errors import LockedByRun, TablevaultError

if TYPE_CHECKING:
    from tablevault.cli.jobs_config import Job
    from tablevault.vault.claims import Claim, Taken
    from tablevault.vault.store import LocalStore

Group = tuple[str, ...]
CLAIM_VARIABLE = "TABLEVAULT_CLAIM"  # tells a step which claim is that of its own job
_NO_TABLES = ("prune", "doctor")  # see docs/OPERATIONS.md, Jobs
_ALL: Group = ("*",)


def claim_tables(
    store: LocalStore, job: Job, about: Invocation, commands: Mapping[str, click.Command]
) -> Taken:
    """Claim what the job works on, until it is let go.

    Raises LockedByRun, naming who is at work on any of it and since when.  What one that died has
    left is taken over, and said.
    """
    from tablevault.vault import claims

    groups = groups_of(store, job, about, commands)

    def agree(other: Claim) -> None:
        shared = _shared(job.name, groups, other)
        if shared is not None:
            raise LockedByRun(
                f"{shared} of vault {store.uri} is locked by {other} ({age(other.since)})",
                hint=_advice(groups, other),
            )

    taken = claims.take(store, job.name, _user(), groups, agree)
    for one in taken.left:
        ended = "the machine was started anew" if one.boot != claims.boot_id() else "it is gone"
        if one.host != os.uname().nodename:
            ended = "nobody holds it"
        tell(f"hint: took over what {printable(str(one))} had locked: {ended}")
    return taken


def groups_of(
    store: LocalStore, job: Job, about: Invocation, commands: Mapping[str, click.Command]
) -> tuple[Group, ...]:
    """The tables of each step, as patterns."""
    groups: list[Group] = []
    named: dict[str, Group] = {}  # by the names of snapshots that the job takes
    for step in job.steps:
        if step[0] in _NO_TABLES:
            continue
        own = Invocation(about.config, about.profile)
        ctx = commands[step[0]].make_context(step[0], list(step[1:]), obj=own)
        words = table_words(ctx, ctx.params["tables"])
        if step[0] == "snapshot":
            group = table_patterns(ctx, words) or _ALL
            if ctx.params["name"]:
                named[ctx.params["name"]] = group
        elif words and not (step[0] == "diff" and "." not in words[0]):
            group = words
        else:  # a diff's first word without a dot may be another snapshot
            group = _of_snapshot(store, ctx.params["snapshot"], named)
        groups.append(group)
    return tuple(dict.fromkeys(groups))


def _of_snapshot(store: LocalStore, text: str | None, named: Mapping[str, Group]) -> Group:
    """The tables of a snapshot; all where it may be another one when its step comes."""
    from tablevault.vault.catalog import resolve

    if text is None or text == "latest":
        return _ALL
    if text in named:
        return named[text]
    with suppress(TablevaultError):
        found = resolve(store, text)
        if text == found.name or found.id.startswith(text):  # not a date, which may come to mean
            return tuple(_quoted(entry.definition.table) for entry in found.tables)  # another one
    return _ALL


def _quoted(table: object) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in str(table))


def _shared(job: str, groups: tuple[Group, ...], other: Claim) -> str | None:
    """What both work on, in words; None when they may work together."""
    from tablevault.ops.table_globs import overlap

    if other.job == job:
        return f"job {job}"
    for group in groups:
        if any(overlap(group, theirs) for theirs in other.groups):
            return "every table" if group == _ALL else f"a table of {' '.join(group[:3])}"
    return None


def _advice(groups: tuple[Group, ...], other: Claim) -> str:
    if other.process_gone:
        return "its process is gone and its step is ending: try again in a minute"
    if other.job != "unknown" and _ALL in (*groups, *other.groups):
        return (
            "wait until it has ended, or stop it; a step that names neither tables nor a snapshot "
            "by its own name works on all of them"
        )
    return "wait until it has ended, or stop it"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in containers
        return f"uid {os.getuid()}"
