"""Options of what loads a server: when it slows down, waits, and gives up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tablevault.cli import types
from tablevault.cli.parser import option

F = TypeVar("F", bound=Callable[..., Any])


def pressure_options(command: F) -> F:
    """What a load does when a server is in trouble, or nothing moves."""
    declared: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
        (
            ("--emergency",),
            {"is_flag": True, "help": "Neither slow down nor wait for a server in trouble."},
        ),
        (
            ("--replica", "replicas"),
            {
                "multiple": True,
                "metavar": "HOST[:PORT]",
                "help": "Wait for this replica when it is far behind; may be repeated.",
            },
        ),
        (
            ("--max-lag",),
            {
                "type": types.duration,
                "metavar": "S",
                "help": "How far a replica may be behind (default 30s).",
            },
        ),
        (
            ("--pressure-wait",),
            {
                "type": types.duration,
                "metavar": "S",
                "help": "How long to wait for disk space or a replica (default 10m).",
            },
        ),
        (
            ("--stall-action",),
            {
                "type": click.Choice(["warn", "cancel", "abort"]),
                "help": "When a stall lasts: say it, cancel and retry the step, or stop "
                "(default warn).",
            },
        ),
        (
            ("--stall-after",),
            {
                "type": types.duration,
                "metavar": "S",
                "help": "Call it a stall when nothing has moved for this time (default 20s).",
            },
        ),
    )
    for names, attributes in reversed(declared):
        command = option(*names, **attributes)(command)
    return command
