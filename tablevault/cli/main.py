"""The entry point: the one place that turns an outcome into words and an exit code."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import click

from tablevault.cli.app import app
from tablevault.cli.config_file import ConfigMistaken
from tablevault.cli.invocation import Invocation
from tablevault.cli.output import prepare_streams, say_json, tell_error
from tablevault.cli.signals import stopping_signals
from tablevault.errors import EXIT_OK, Interrupted, TablevaultError, UsageError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (errors.py has the list)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    about = Invocation(json=_asks_json(words))
    prepare_streams()
    _settle_interpreter()
    with stopping_signals():
        try:
            return _run(words, about)
        except TablevaultError as error:
            return _fail(error, about)
        except KeyboardInterrupt:  # while the outcome was being put into words
            return _fail(_interrupted(about), about)
        except Exception as error:
            import traceback

            traceback.print_exc()
            return _fail_unexpectedly(error, about)


def _settle_interpreter() -> None:
    """For threads that stream and for manifests of many tables; a library leaves this alone."""
    # 5 ms by default: a thread at Python code would keep another from its socket for so long
    sys.setswitchinterval(0.0005)
    # 700 objects by default: reading a list of 100,000 chunks took a third longer for looking
    # through all that was read before, again and again
    gc.set_threshold(50_000, 20, 100)


def _run(words: list[str], about: Invocation) -> int:
    try:
        code = app.main(words, prog_name="tablevault", standalone_mode=False, obj=about)
    except click.ClickException as error:
        raise _usage_error(error) from error
    except (click.Abort, KeyboardInterrupt) as error:
        raise _interrupted(about) from error
    except SystemExit:
        return EXIT_OK  # click's way out when the reader of a help page has gone away
    return code if isinstance(code, int) else EXIT_OK


def _interrupted(about: Invocation) -> Interrupted:
    """An interruption outside a run; one that came after its end takes nothing back."""
    but = ", but the run was complete by then" if about.complete else ""
    return Interrupted(f"interrupted{but}")


def _fail(error: TablevaultError, about: Invocation) -> int:
    lines = error.lines if isinstance(error, ConfigMistaken) and len(error.mistakes) > 1 else ()
    tell_error(error.message, error.hint, lines)
    status = "interrupted" if isinstance(error, Interrupted) else "failed"
    _say_failure(about, status, error.message, error.hint, error.exit_code, _mistakes(error))
    return error.exit_code


def _fail_unexpectedly(error: Exception, about: Invocation) -> int:
    _say_failure(about, "failed", f"unexpected {type(error).__name__}: {error}", None, 1)
    return 1


def _say_failure(
    about: Invocation,
    status: str,
    message: str,
    hint: str | None,
    code: int,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    if not about.json:
        return
    ids = {"run": about.run, "snapshot": about.snapshot}
    record = {"status": status, "error": message, "hint": hint, "exit_code": code, **more}
    try:
        say_json({**record, **{name: value for name, value in ids.items() if value}})
    except TablevaultError:
        return  # standard output takes nothing; standard error has it


def _mistakes(error: TablevaultError) -> dict[str, Any]:
    """What is wrong with a configuration, for programs."""
    if not isinstance(error, ConfigMistaken):
        return {}
    return {"mistakes": [asdict(one) for one in error.mistakes]}


def _usage_error(error: click.ClickException) -> UsageError:
    """click's complaint in our own form: lowercase, no full stop, advice apart."""
    message = error.format_message().strip().rstrip(".")
    hint = None
    if isinstance(error, click.exceptions.NoSuchOption) and error.possibilities:
        message = f"no such option {error.option_name}"
        hint = f"did you mean {error.possibilities[0]}?"
    elif isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"try '{error.ctx.command_path} --help'"
    return UsageError(message[:1].lower() + message[1:], hint=hint)


def _asks_json(words: Sequence[str]) -> bool:
    """Whether --json stands anywhere: an error before it was parsed is answered in it too."""
    own = words[: words.index("--")] if "--" in words else words
    return "--json" in own


if __name__ == "__main__":
    sys.exit(main())
