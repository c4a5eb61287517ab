"""Cases on disk: a folder a trap, with what is to be created, filled in and expected.

    tests/cases/<trap>/create.sql   tables, without the schema's name; {other} is a second schema
    tests/cases/<trap>/data.sql     rows
    tests/cases/<trap>/expect.toml  what must become of it

`expect.toml`: `about` is a line for the report; `tables` names the tables (default: all of the
schema).  One entry a kind of server, `default` for the others: "exact", or a table with one of

    refused = "regular expression"   the snapshot is refused in these words
    absent = "why"                   the server itself refuses create.sql

or with `checksum = "why not"` where CHECKSUM TABLE reads what is no data, `names = "why"` where
CHECKs have other names afterwards.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

from tests.servers import ROOT

FOLDER = ROOT / "tests" / "cases"
SESSION = (
    "SET SESSION time_zone = '+00:00', "
    "sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION';\n"
)


@dataclass(frozen=True)
class Expectation:
    """What must become of a case on one server."""

    refused: str = ""
    absent: str = ""
    checksum: str = ""
    names: str = ""

    @property
    def verdict(self) -> str:
        """In the report, when it is neither refused nor absent."""
        return f"exact: {self.names}" if self.names else "exact"


@dataclass(frozen=True)
class Case:
    """One folder."""

    name: str
    create: str
    data: str
    expect: dict[str, Any]

    @property
    def about(self) -> str:
        return str(self.expect["about"])

    @property
    def drops(self) -> bool:
        """Whether the tables are dropped, not emptied, before they are restored."""
        return bool(self.expect.get("drop"))

    def on(self, kind: str) -> Expectation:
        """What is expected of this kind of server."""
        wish = self.expect.get(kind, self.expect.get("default", "exact"))
        if wish == "exact":
            return Expectation()
        return Expectation(**wish)

    def statements(self, schema: str) -> tuple[str, str]:
        """create.sql and data.sql, for this schema."""
        other = f"{schema}_b"
        head = f"{SESSION}USE `{schema}`;\n"
        return (
            head + self.create.replace("{other}", other).replace("{schema}", schema),
            head + self.data.replace("{other}", other).replace("{schema}", schema),
        )


def cases() -> list[Case]:
    """All cases, by name; a folder that lacks a file is an error."""
    return [
        Case(
            folder.name,
            (folder / "create.sql").read_text(),
            (folder / "data.sql").read_text(),
            tomllib.loads((folder / "expect.toml").read_text()),
        )
        for folder in sorted(FOLDER.iterdir())
        if folder.is_dir() and not folder.name.startswith((".", "__"))
    ]


@dataclass(frozen=True)
class Outcome:
    """One cell of the report."""

    case: str
    about: str
    server: str
    verdict: str


PROPERTY = "case"
"""The outcome goes with the test's report under this name, printed at the end (conftest.py)."""


def report_lines(outcomes: list[Outcome]) -> list[str]:
    """The table: a line a case, a column a server."""
    kinds = list(dict.fromkeys(one.server for one in outcomes))
    by_case: dict[str, dict[str, str]] = {}
    about = {}
    for one in outcomes:
        by_case.setdefault(one.case, {})[one.server] = one.verdict
        about[one.case] = one.about
    width = max(len(name) for name in by_case)
    lines = [" ".join([f"{'case':<{width}}", *(f"{kind:<12}" for kind in kinds), "what"])]
    notes = []
    for name in sorted(by_case):
        cells = []
        for kind in kinds:
            verdict, _, why = by_case[name].get(kind, "").partition(": ")
            cells.append(f"{verdict:<12}")
            if why:
                notes.append(f"{name} on {kind}: {verdict}: {why}")
        lines.append(" ".join([f"{name:<{width}}", *cells, about[name]]))
    return [*lines, *notes]


TABLE_BEGINS = "<!-- cases: written by `python -m tests.support.cases` -->"
_HEADS = {"mariadb": "MariaDB 10.11", "mariadb-new": "MariaDB 11.8", "mysql": "MySQL 9.7"}


def page_table() -> str:
    """What every case expects of every server, as docs/SERVERS.md holds it."""
    lines = [
        f"| case | {' | '.join(_HEADS.values())} | what |",
        "|---" * (len(_HEADS) + 2) + "|",
    ]
    for case in cases():
        cells = [_cell(case.on(kind)) for kind in _HEADS]
        lines.append(f"| {case.name} | {' | '.join(cells)} | {case.about} |")
    return "\n".join(lines)


def _cell(expected: Expectation) -> str:
    if expected.refused:
        return "refused"
    return "not there" if expected.absent else "exact"


def with_table(page: str) -> str:
    """The page with its table made anew: from the mark to the next heading, or the end."""
    head, rest = page.split(TABLE_BEGINS)
    _, heading, after = rest.partition("\n## ")
    return f"{head}{TABLE_BEGINS}\n\n{page_table()}\n{heading}{after}"


if __name__ == "__main__":
    path = ROOT / "docs" / "SERVERS.md"
    path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")
