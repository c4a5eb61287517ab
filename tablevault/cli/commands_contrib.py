"""`contrib`: files for other programs that are installed with this one."""

from __future__ import annotations

import difflib
from importlib.resources import files

import click
from click.shell_completion import CompletionItem

from tablevault.cli.invocation import invocation
from tablevault.cli.output import say, say_json
from tablevault.cli.parser import Command
from tablevault.errors import UsageError

FILES = {
    "prometheus-alerts.yml": "alert rules for Prometheus, for its rule_files",
    "grafana-dashboard.json": "a dashboard to import in Grafana",
}


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=about)
        for name, about in FILES.items()
        if name.startswith(incomplete)
    ]


@click.command("contrib", cls=Command)
@click.argument("name", metavar="[NAME]", required=False, shell_complete=_names)
@click.pass_context
def contrib_command(ctx: click.Context, /, name: str | None, **_: object) -> int:
    """Print a file for another program: alert rules, a dashboard.

    Without NAME it says which there are. Both go by the metrics of a job.
    """
    about = invocation(ctx)
    if name is None:
        if about.json:
            say_json({"status": "ok", "files": FILES})
        else:
            width = max(len(one) for one in FILES)
            say("\n".join(f"{one.ljust(width)}  {what}" for one, what in FILES.items()))
        return 0
    if name not in FILES:
        near = difflib.get_close_matches(name, FILES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(FILES)}"
        raise UsageError(f"no file {name!r} comes with tablevault", hint=hint)
    text = (files("tablevault") / "contrib" / name).read_text(encoding="utf-8")
    if about.json:
        say_json({"status": "ok", "file": name, "text": text})
    else:
        say(text.rstrip("\n"))
    return 0
