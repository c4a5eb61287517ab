"""The pages for people, held to the program: commands, options, events, exit codes, links."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tablevault import errors, events
from tablevault.cli import config, reference
from tablevault.cli.parser import EXIT_MEANINGS
from tests.support.cases import with_table

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/OPERATIONS.md").read_text(encoding="utf-8")
COMMANDS = {command.name: command for command in reference.commands()}
GLOBAL = {"--help", "--version"}
# what messages name already and the command line does not have yet
COMING: set[str] = set()
COMING_OPTIONS: set[str] = set()


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ---- commands and options


def command_lines(text: str) -> Iterator[list[str]]:
    """Every `tablevault …` of a page, as words: in code blocks, and between backticks."""
    for block in re.findall(r"^(?: {4}|```\w*\n)(.*?)(?:\n```|$)", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if re.match(r"\s*(?:\S+=\S+ )*(?:\S*/)?tablevault [a-z]", line):
                yield shlex.split(line[line.index("tablevault ") :], comments=True)
    for code in re.findall(r"`(tablevault [a-z][^`\n]*)`", text):
        yield shlex.split(code)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_command_lines_are_those_of_the_program(page: Path) -> None:
    for words in command_lines(page.read_text(encoding="utf-8")):
        assert words[1] in COMMANDS, f"{page.name}: there is no {words[:2]}"
        known = {name for option in COMMANDS[words[1]].options for name in option.names}
        own = words[: words.index("--")] if "--" in words else words  # the rest is another program
        used = {word.split("=")[0] for word in own if word.startswith("-") and word != "-"}
        used -= {word for word in used if re.fullmatch(r"-[qv]+", word)}
        assert used <= known | GLOBAL, f"{page.name}: {' '.join(words)}: {used - known}"


def test_pages_have_command_lines_to_check() -> None:
    assert len(list(command_lines(README))) >= 15


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"\| [^|\n]*`tablevault {name}\b[^|\n]*\|", README), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_on_a_page(name: str) -> None:
    text = README + OPERATIONS
    for option in COMMANDS[name].options:
        longest = max(option.names, key=len)
        if longest not in GLOBAL:
            assert re.search(rf"(?<![\w-]){longest}(?![\w-])", text), f"{name} {longest}"


def test_the_configuration_keys_are_those_of_the_program() -> None:
    line = next(line for line in OPERATIONS.splitlines() if line.startswith("Keys: "))
    assert re.findall(r"`(\w+)`", line) == list(config._KEYS)


def test_make_targets_exist_and_the_test_command_is_stated() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"(?:^    |`)make ([a-z-]+)", text, re.MULTILINE)
        assert set(named) <= targets, page.name
    assert re.search(r"^    make test\b", README, re.MULTILINE)
    assert re.search(r"^    make demo\b", README, re.MULTILINE)


# ---- exit codes and events


def exit_codes() -> set[int]:
    found = {errors.EXIT_OK, errors.EXIT_FINDINGS, 1}
    queue: list[type[errors.TablevaultError]] = [errors.TablevaultError]
    while queue:
        kind = queue.pop()
        found.add(kind.exit_code)
        queue += kind.__subclasses__()
    return found


def test_every_exit_code_is_in_the_readme() -> None:
    section = README.split("\n## Exit codes\n")[1].split("\n## ")[0]
    listed = [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    assert set(listed) == exit_codes() == set(EXIT_MEANINGS)
    assert listed == sorted(listed)


def test_the_scheduler_table_has_every_exit_code() -> None:
    section = OPERATIONS.split("For a scheduler:")[1].split("\n## ")[0]
    cells = re.findall(r"^\| ([\d, ]+) \|", section, re.MULTILINE)
    listed = [int(code) for cell in cells for code in cell.split(", ")]
    assert set(listed) == exit_codes()
    assert len(listed) == len(set(listed))


def test_events_are_documented_field_by_field() -> None:
    table = OPERATIONS.split("<!-- events: checked against tablevault/events.py -->")[1]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", table.split("\n\n`tables` of")[0], re.MULTILINE)
    common = {field.name for field in dataclasses.fields(events.Event)}
    documented = {name: re.findall(r"`(\w+)`", fields) for name, fields in rows}
    actual = {
        kind.__name__: [f.name for f in dataclasses.fields(kind) if f.name not in common]
        for kind in events.Event.__subclasses__()
    }
    assert documented == actual


def test_what_all_events_carry_is_documented() -> None:
    section = OPERATIONS.split("Every event has")[1].split("<!-- events")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert documented == {"type", *(field.name for field in dataclasses.fields(events.Event))}
    line = next(line for line in OPERATIONS.splitlines() if line.startswith("`tables` of"))
    fields = [field.name for field in dataclasses.fields(events.TableProgress)]
    assert re.findall(r"`(\w+)`", line)[2:] == fields


# ---- messages


@cache
def source_texts(*rooms: str) -> tuple[str, ...]:
    """Every string of the source, or of some rooms; what an f-string fills in is an ellipsis."""
    texts = []
    folders = [ROOT / "tablevault" / room for room in rooms] or [ROOT / "tablevault"]
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                pieces = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
                texts.append("".join(map(str, pieces)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return tuple(texts)


def test_messages_of_the_troubleshooting_table_are_real() -> None:
    table = OPERATIONS.split("<!-- messages: each must stand in the source -->")[1]
    cells = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    assert len(cells) >= 15
    for cell in cells:
        if re.search(r"\(\d{4}\)", cell):
            continue  # a message of the server, with its number
        for quoted in re.findall(r"`([^`]+)`", cell):
            for fragment in filter(None, (part.strip() for part in quoted.split("…"))):
                assert any(fragment in text for text in source_texts()), fragment


def test_commands_that_messages_name_exist() -> None:
    for text in source_texts():
        for name in re.findall(r"`tablevault ([a-z]+)|tablevault ([a-z]+) …", text):
            assert {"".join(name)} <= {*COMMANDS, *COMING}, text
    assert not COMING & set(COMMANDS), "it has come: take it out of COMING"


def test_options_that_messages_name_exist() -> None:
    ours = {
        name for command in COMMANDS.values() for option in command.options for name in option.names
    }
    for text in source_texts("ops", "mysql", "vault", "engine", "rows"):
        for name in re.findall(r"(?<![\w=-])--[a-z][a-z-]+", text):
            assert name in ours | COMING_OPTIONS, text
    assert not COMING_OPTIONS & ours, "it has come: take it out of COMING_OPTIONS"


# ---- links


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {target}"


def test_files_that_pages_name_exist() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:tablevault|tests|docs|bench|scripts)/[\w./-]+\.\w+)`", text):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_every_page_is_reachable_from_the_readme() -> None:
    for page in PAGES:
        assert page.name == "README.md" or page_id(page) in README, page.name


def test_the_table_of_cases_is_that_of_the_cases() -> None:
    page = (ROOT / "docs/SERVERS.md").read_text(encoding="utf-8")
    assert with_table(page) == page, "write it anew: python -m tests.support.cases"
