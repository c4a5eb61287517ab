"""The demo's story: a planned change to one table silently changes another, and how it comes back.

Every step goes the way a person goes: command lines that are shown and then run as they stand.
What surrounds them (server, data, the damaging script) is real too, and gone afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from tablevault.demo.data import ROOM_BYTES, SCALE, SCHEMA, TABLES, find_generator, generate, load
from tablevault.demo.programs import find_program
from tablevault.demo.screen import Screen, aligned
from tablevault.demo.server import PrivateServer
from tablevault.demo.shell import Shell
from tablevault.errors import ProofFailed
from tablevault.vault.journal import list_runs

_SNAPSHOT = "before-change"
_DAMAGED, _SLIPPED = f"{SCHEMA}.lineitem", f"{SCHEMA}.orders"
_SCRIPT = "change-4711.sh"
_SCRIPT_TEXT = """\
# change 4711: finance wants order totals without cents
. ./job.env
TABLE=${TABLE:-orders}
COLUMN=${COLUMN:-o_totalprice}
mariadb --defaults-file=my.cnf shop -e "ALTER TABLE $TABLE MODIFY $COLUMN DECIMAL(15,0) NOT NULL"
echo "change 4711: done"
"""
_JOB_ENV = "TABLE=lineitem COLUMN=l_discount    # left over from a rehearsal in spring\n"
_SLIP = "slip.sh"
_SLIP_TEXT = """\
mariadb --defaults-file=my.cnf shop \\
  -e "UPDATE orders SET o_orderpriority = '' WHERE o_orderkey % 500 = 1"
"""
_GUARD = (
    *("guard", f"{SCHEMA}.*", "--name", _SNAPSHOT),
    *("--expect-change", f"{SCHEMA}.orders:o_totalprice", "--", "sh", _SCRIPT),
)
_REVENUE = "SELECT SUM(l_extendedprice * (1 - l_discount)) FROM lineitem"


@dataclass(frozen=True)
class Figures:
    """What the tables hold at one moment, as the server says."""

    checksums: Mapping[str, str]
    revenue: Decimal
    discount_type: str


@dataclass
class Story:
    """What is known so far."""

    server: PrivateServer
    shell: Shell
    screen: Screen
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note how long a step takes."""
        began = time.monotonic()
        yield
        self.seconds[step] = time.monotonic() - began


def main(out: TextIO, scale: float = SCALE) -> dict[str, Any]:
    """Tell the story on `out`; return checksums and timings.

    Raises ProofFailed when the restored table is not what it was, CannotComplete when a step
    fails or a program is missing.  Server and data are gone when it returns or raises.
    """
    screen = Screen(out)
    find_generator()
    find_program("mariadb")
    screen.title("tablevault demo: a change to one table damages another, and how it comes back")
    began = time.monotonic()
    room = int(ROOM_BYTES * scale) + (1 << 30)
    # a redo log as a server of production has it: with a small one a restore waits for the disk
    with PrivateServer(redo_log="512M", buffer_pool="512M", room_bytes=room) as server:
        directory = server.directory
        screen.text(f"""
            A private MariaDB server runs in {directory}.
            Nothing else is touched, and all of it is gone at the end, also after Ctrl-C.""")
        folder = directory / "demo"
        _furnish(server, folder)
        story = Story(server, Shell(folder, out), screen)
        with story.timed("set-up"):
            rows = _fill(story, directory / "tables", scale)
        set_up = time.monotonic()
        result = _tell(story)
    gone = "is gone" if not directory.exists() else f"could not be removed: {directory}"
    screen.text(f"""
        The private server has ended and its directory {gone}.
        Set-up {set_up - began:.1f} s, the story {time.monotonic() - set_up:.1f} s.""")
    return {"rows": rows, **result}


def _furnish(server: PrivateServer, folder: Path) -> None:
    """The folder a person works in: where server and vault are, and the script of the night."""
    folder.mkdir(mode=0o700)
    files = {
        "my.cnf": f"[client]\nsocket={server.socket}\nuser={server.user}\n"
        f"password={server.password}\n",
        ".config/tablevault/config.toml": "[profile.default]\n"
        f'defaults_file = "{folder / "my.cnf"}"\nvault = "{folder / "vault"}"\n',
        "job.env": _JOB_ENV,
        _SCRIPT: _SCRIPT_TEXT,
        _SLIP: _SLIP_TEXT,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch(0o600)
        (folder / name).write_text(text)


def _fill(story: Story, directory: Path, scale: float) -> dict[str, int]:
    story.screen.text(f"Set-up: generating TPC-H tables at scale {scale:g}, then loading them.")
    generate(directory, scale)
    rows = load(story.server, directory)
    listed = ", ".join(f"{table} {count:,} rows" for table, count in rows.items())
    story.screen.text(f"Schema {SCHEMA}: {listed};\nprimary keys, and two secondary indexes each.")
    return rows


def _tell(story: Story) -> dict[str, Any]:
    screen, shell = story.screen, story.shell
    before = _figures(story)

    screen.title("1  The change, under guard: finance wants order totals without cents")
    screen.text("""
        ~/.config/tablevault/config.toml says where the server and the vault are.
        The script was reviewed. It changes orders.o_totalprice:""")
    screen.text(f"\n$ cat {_SCRIPT}")
    screen.verbatim(_SCRIPT_TEXT)
    with story.timed("guard: snapshot, the change, comparison"):
        told = shell.tablevault(*_GUARD, code=3)
    printed = told.splitlines()[-1].strip()

    screen.title("2  The damage")
    ruined = _figures(story)
    _show_damage(screen, before, ruined)

    screen.title("3  What is the cheapest way back? Nothing is changed by asking")
    with story.timed("the plan of a repair"):
        shell.tablevault("repair", _SNAPSHOT, _DAMAGED, code=3)

    screen.title("4  The command that guard printed: built beside the live table, proven, swapped")
    with story.timed("restore and swap"):
        shell.typed(printed)

    screen.title("5  The proof")
    after = _figures(story)
    _show_proof(screen, before, ruined, after)

    screen.title("6  Afterwards")
    run = list_runs(shell.folder / "vault" / ".runs")[-1]
    screen.text(f"""
        The damaged table is still there. To undo the restore one would type
          tablevault rollback {run}
        but all is well, so the kept table goes:""")
    with story.timed("cleanup"):
        shell.tablevault("cleanup", run)

    screen.title("7  Another night, a smaller slip: of a few rows only these are put back")
    screen.text(f"$ cat {_SLIP}")
    screen.verbatim(_SLIP_TEXT)
    shell.sh(_SLIP)
    with story.timed("repair"):
        shell.tablevault("repair", _SNAPSHOT, _SLIPPED, "--execute")
    repaired = _figures(story)
    if repaired != before:
        raise ProofFailed("the repaired table is not what it was before the slip")
    screen.text("CHECKSUM TABLE says the same as at the beginning.")
    _show_timings(story)
    return {
        "run": run,
        "checksums": {
            "before": before.checksums,
            "after the change": ruined.checksums,
            "after the restore": after.checksums,
            "after the repair": repaired.checksums,
        },
        "seconds": {step: round(seconds, 2) for step, seconds in story.seconds.items()},
    }


def _figures(story: Story) -> Figures:
    sql = story.server.sql
    lines = sql(f"CHECKSUM TABLE {', '.join(TABLES)}", SCHEMA).splitlines()
    checksums = dict(line.split("\t") for line in lines)
    return Figures(
        checksums={table: checksums[f"{SCHEMA}.{table}"] for table in TABLES},
        revenue=Decimal(sql(_REVENUE, SCHEMA).strip()),
        discount_type=sql("SHOW COLUMNS FROM lineitem LIKE 'l_discount'", SCHEMA).split("\t")[1],
    )


def _show_damage(screen: Screen, before: Figures, ruined: Figures) -> None:
    if ruined.checksums == before.checksums:
        raise ProofFailed("the demo's script did no damage: there is nothing to restore")
    screen.text(f"The revenue report is wrong as well:\n\nmariadb> {_REVENUE};")
    screen.verbatim(
        aligned(
            [
                ("", "before", "now"),
                ("revenue", f"{before.revenue:,.2f}", f"{ruined.revenue:,.2f}"),
                ("lineitem.l_discount", before.discount_type, ruined.discount_type),
                *(
                    (f"checksum of {table}", before.checksums[table], ruined.checksums[table])
                    for table in TABLES
                ),
            ]
        )
    )
    screen.text(f"""
        The table that was meant, orders, is unchanged. Another one, lineitem, lost every
        discount: rounding to DECIMAL(15,0) is no error. The script had read job.env:
          {_JOB_ENV.strip()}""")


def _show_proof(screen: Screen, before: Figures, ruined: Figures, after: Figures) -> None:
    shown = [before, ruined, after]
    rows = [("CHECKSUM TABLE", "before", "after the change", "after the restore", "")]
    rows += [_compared(table, [one.checksums[table] for one in shown]) for table in TABLES]
    rows.append(_compared("revenue", [f"{one.revenue:,.2f}" for one in shown]))
    rows.append(_compared("lineitem.l_discount", [one.discount_type for one in shown]))
    screen.verbatim(aligned(rows))
    if after != before:
        raise ProofFailed(
            "the restored tables are not what they were before the change",
            hint="this is a defect of tablevault: please report it with the output above",
        )
    screen.text("""
        tablevault had proven it before the swap: for each row group the server recomputed the
        digest that the snapshot took off the wire. CHECKSUM TABLE says the same another way.""")


def _compared(name: str, values: Sequence[str]) -> tuple[str, str, str, str, str]:
    before, ruined, after = values
    return name, before, ruined, after, "equal" if before == after else "DIFFERENT"


def _show_timings(story: Story) -> None:
    story.screen.title("Timings")
    rows = [(step, f"{seconds:.1f} s") for step, seconds in story.seconds.items()]
    story.screen.verbatim(aligned(rows))
