"""The manual page: all that the help says, in roff that every formatter takes without complaint."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tablevault.cli import manpage, reference, roff
from tablevault.cli.app import app
from tablevault.cli.invocation import Invocation
from tablevault.cli.main import main
from tablevault.cli.parser import EXIT_MEANINGS
from tests.support.formatters import Formatter, find_formatters, formatted

SOURCES = sorted((Path(__file__).resolve().parents[2] / "tablevault").rglob("*.py"))
DAY = "2026-01-31"
COMMANDS = {command.name: command for command in reference.commands()}
PAGES = {"": manpage.whole_page(app, DAY)} | {
    name: manpage.command_page(app, name, DAY) for name in COMMANDS
}
HEADINGS = ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "ENVIRONMENT", "FILES"]
MACROS = {"TH", "SH", "SS", "PP", "TP", "EX", "EE"}


def headings(page: str) -> list[str]:
    return re.findall(r"^\.SH (.+)$", page, re.MULTILINE)


def part(page: str, macro: str, heading: str) -> str:
    """From one heading to the next of its kind, or of a higher one."""
    return re.split(r"^\.S[HS] ", page.split(f"\n.{macro} {heading}")[1], flags=re.MULTILINE)[0]


# ---- everything is there


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_with_all_its_options(name: str) -> None:
    whole, own = PAGES[""], PAGES[name]
    section = part(whole, "SS", roff.bold(name))
    shared = whole.split("\n.SH CONNECTION")[1].split("\n.SH EXIT")[0]
    assert roff.escaped(COMMANDS[name].summary.split()[0]) in section
    for option in COMMANDS[name].options:
        for spelling in option.names:
            assert roff.bold(spelling) in section + shared, spelling
            assert roff.bold(spelling) in own, spelling
        first = roff.escaped(option.help.split()[0])
        assert first in whole and first in own


def test_an_option_stands_with_its_command_or_with_those_all_have() -> None:
    whole = PAGES[""]
    assert r"\fB\-\-incremental\fR" in part(whole, "SS", roff.bold("snapshot"))
    assert r"\fB\-\-incremental\fR" not in part(whole, "SS", roff.bold("verify"))
    assert "connection options" in part(whole, "SS", roff.bold("restore"))
    assert "connection options" not in part(whole, "SS", roff.bold("verify"))
    assert whole.count(r"\fB\-\-ssl\-ca\fR") == 1
    assert r"\fB\-h\fR, \fB\-\-host\fR \fINAME\fR" in part(whole, "SH", "CONNECTION OPTIONS")


def test_what_is_hidden_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.commands["runs"], "hidden", True)
    monkeypatch.setattr(app.commands["show"].params[1], "hidden", True)
    page = manpage.whole_page(app, DAY)
    assert f".SS {roff.bold('runs')}" not in page
    assert f".SS {roff.bold('show')}" in page
    hidden = app.commands["show"].params[1].opts[0]
    assert roff.bold(hidden) in part(PAGES[""], "SS", roff.bold("show"))
    assert roff.bold(hidden) not in part(page, "SS", roff.bold("show"))


def test_every_exit_code_is_there() -> None:
    section = part(PAGES[""], "SH", "EXIT STATUS")
    for code, meaning in EXIT_MEANINGS.items():
        assert f"\\fB{code}\\fR\n{meaning}\n" in section
    assert "damage" not in part(PAGES["list"], "SH", "EXIT STATUS")


def test_every_environment_variable_is_there() -> None:
    read = set()
    for path in SOURCES:
        if "demo" not in path.parts:
            text = path.read_text(encoding="utf-8")
            read |= set(re.findall(r'environ(?:\.get\(|\[)"(\w+)"|envvar="(\w+)"', text))
    names = {"".join(pair) for pair in read} - {"TERM"}  # which is the terminal's
    assert len(names) >= 4
    for name in names:
        assert f"\n{roff.bold(name)}\n" in part(PAGES[""], "SH", "ENVIRONMENT"), name


def test_the_examples_are_command_lines_of_ours() -> None:
    for _, line in manpage.EXAMPLES:
        assert roff.escaped(line) in PAGES[""]
        program, name, *words = shlex.split(line)
        assert program == "tablevault"
        root = click.Context(app, info_name=program, obj=Invocation())
        app.commands[name].make_context(name, words, parent=root)


# ---- as roff


@pytest.mark.parametrize("name", PAGES)
def test_the_structure_is_that_of_a_manual_page(name: str) -> None:
    page = PAGES[name]
    assert page.isascii()
    first = page.splitlines()[0]
    assert re.fullmatch(rf'\.TH "TABLEVAULT[\\\-A-Z]*" "1" "{DAY}" "tablevault [\w.]+"', first)
    for line in page.splitlines():
        if line[:1] in (".", "'"):
            assert line[1:3] in MACROS, line
    found = headings(page)
    assert [one for one in found if one in HEADINGS] == HEADINGS
    assert found[-1] == ("FILES" if name else "EXAMPLES")
    assert len(set(found)) == len(found)
    assert name or found[3] == "COMMANDS"


@pytest.mark.parametrize(
    "formatter", find_formatters() or [()], ids=lambda one: one[0] if one else "none"
)
def test_it_is_formatted_without_a_warning(formatter: Formatter) -> None:
    if not formatter:
        pytest.skip("neither mandoc nor groff here; said at the end as not tested")
    for page in PAGES.values():
        shown = formatted(formatter, page)
        if formatter[0] == "mandoc":
            assert shown == ""
    if formatter[0] == "groff":
        text = " ".join(formatted(formatter, PAGES[""]).split())
        assert "--ssl-mode [disabled|preferred|required|verify_ca|verify_identity] How much" in text
        for _, line in manpage.EXAMPLES:
            assert line in text


def test_a_formatter_that_complains_is_heard() -> None:
    for formatter in find_formatters():
        with pytest.raises(AssertionError):
            formatted(formatter, PAGES[""] + ".XX unknown\n")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (".TH is text", r"\&.TH is text"),
        ("'br is text", r"\(aqbr is text"),
        ('say "no"', r"say \(dqno\(dq"),
        (r"a\fB", r"a\efB"),
        ("--as-is ~/.my.cnf", r"\-\-as\-is \(ti/.my.cnf"),
        ("caf\u00e9 \u2026", r"caf\[u00E9] \[u2026]"),
    ],
)
def test_text_stays_text(text: str, written: str) -> None:
    assert roff.escaped(text) == written
    for formatter in find_formatters():
        if formatter[0] == "groff":
            page = "\n".join(
                [*roff.title("x", DAY, "y"), *roff.section("A"), *roff.literal([text])]
            )
            assert text in formatted(formatter, page + "\n")


# ---- the command


def test_it_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["man", "swap"]) == 0
    assert re.sub(r"\d{4}-\d\d-\d\d", DAY, capsys.readouterr().out) == PAGES["swap"]
    assert main(["man", "--json"]) == 0
    assert '"status": "ok", "command": null, "text": ".TH' in capsys.readouterr().out


def test_a_typo_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["man", "snapshit"]) == 2
    assert "did you mean 'snapshot'" in capsys.readouterr().err


def test_commands_are_completed() -> None:
    environment = {"_TABLEVAULT_COMPLETE": "bash_complete"}
    environment |= {"COMP_WORDS": "tablevault man sn", "COMP_CWORD": "2"}
    done = CliRunner().invoke(app, [], env=environment, prog_name="tablevault")
    assert done.output == "plain,snapshot\n"
