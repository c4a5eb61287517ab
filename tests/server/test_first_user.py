"""The first user's walk: each command of README.md and OPERATIONS.md, typed as it is written.

From nothing to a nightly proof that a scheduler starts, with the account that the README describes.
Only what is of another machine is another word here: host, port, paths, and RUN for the run's id.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tablevault.demo.programs import find_program
from tests.server.test_readme_grants import grants
from tests.servers import ROOT, Server
from tests.support.facts import numbers

README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
PASSWORD = "F1rst-user!"
COMMENT = re.compile(r"\s{2,}#.*$")
DAMAGE = "UPDATE shop.orders SET amount = -1 WHERE id BETWEEN 3 AND 9"


def commands(page: str) -> list[str]:
    """The commands of a page, in its order, without their comments."""
    lines = re.findall(r"^    (tablevault .*)$", page, re.MULTILINE)
    return [COMMENT.sub("", line).rstrip() for line in lines]


def indented(page: str, header: str) -> str:
    """The indented block of a page that begins with a line, as far as it is indented."""
    [found] = re.findall(rf"^(    {re.escape(header)}\n(?:(?:    .*)?\n)+)", page, re.MULTILINE)
    return textwrap.dedent(found)


class Walk:
    """A machine of one's own: home, working folder, PATH, and the words that stand for others."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.work, self.home = folder / "work", folder / "home"
        for path in (self.work, self.home, folder / "etc", folder / "metrics", folder / "bin"):
            path.mkdir()
        self.words = {
            'host = "db1.internal"': f'host = "{server.host}"\nport = {server.port}',
            'host = "db1"': f'host = "{server.host}"\nport = {server.port}',
            "-h db1": f"-h {server.host} -P {server.port}",
            "-h standby": f"-h {server.host} -P {server.port}",
            "/etc/tablevault": str(folder / "etc"),
            "/backup/vault": str(folder / "backup" / "vault"),
            "/var/lib/prometheus/node-exporter": str(folder / "metrics"),
            "/usr/local/bin/page-the-dba": str(folder / "bin" / "page-the-dba"),
            'jitter = "10m"': 'jitter = "1s"',
        }
        self.environment = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "TERM": "dumb",
            "LANG": "C.UTF-8",
        }
        self.program("tablevault", f'exec {shlex.quote(sys.executable)} -m tablevault "$@"')
        self.program("page-the-dba", f"cat >>{folder}/paged")

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\nexport PYTHONPATH={ROOT}\n{text}\n")
        path.chmod(0o755)

    def here(self, text: str) -> str:
        """The same with this machine's words."""
        for word, ours in self.words.items():
            text = text.replace(word, ours)
        return text

    def configure(self, *blocks: str) -> None:
        """Write what a page says into the configuration of the working folder."""
        (self.work / "tablevault.toml").write_text(self.here("\n".join(blocks)))

    def account(self, path: Path) -> None:
        """The option file as it is shown, with the password, and a port that is not the usual."""
        [shown] = re.findall(r"```ini\n(.*?)```", OPERATIONS, re.DOTALL)
        path.touch(mode=0o600)
        port = f"port = {self.server.port}\n"
        path.write_text(shown.replace("password = ...", f"password = {PASSWORD}") + port)

    def type(self, line: str, code: int = 0, **more: str) -> str:
        """Type a line into a shell; what it prints."""
        done = subprocess.run(
            ["bash", "-c", self.here(line)],
            cwd=self.work,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == code, f"$ {line}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    def run(self, status: str) -> str:
        """The newest restore that stands so."""
        told = json.loads(self.type("tablevault runs --json"))
        runs = [one["run"] for one in told["runs"] if one["state"] == status]
        assert runs, told
        return str(runs[-1])


@pytest.fixture
def walk(server: Server, tmp_path: Path) -> Iterator[Walk]:
    server.sql(
        "DROP DATABASE IF EXISTS shop; CREATE DATABASE shop; USE shop;"
        "CREATE TABLE orders (id INT PRIMARY KEY, status VARCHAR(9), amount DECIMAL(9,2));"
        "CREATE TABLE items (id INT PRIMARY KEY, order_id INT, KEY (order_id));"
        f"INSERT INTO orders SELECT seq, 'new', seq FROM {numbers(2000)};"
        f"INSERT INTO items SELECT seq, seq FROM {numbers(500)};"
        f"DROP USER IF EXISTS vault@'%'; CREATE USER vault@'%' IDENTIFIED BY '{PASSWORD}';"
    )
    for statement in grants(server.family):
        server.sql(statement)
    found = Walk(server, tmp_path)
    migrate = found.work / "migrate.sh"
    client = f"{find_program('mariadb')} --no-defaults -u root -S {server.socket}"
    migrate.write_text(
        f"#!/bin/sh\nexport MYSQL_PWD={server.root_password}\n"
        f"{client} -e \"UPDATE shop.orders SET status = 'sent' WHERE id < 50\"\n"
    )
    migrate.chmod(0o755)
    yield found
    server.sql("DROP DATABASE shop; DROP USER vault@'%'")


def test_the_readme(walk: Walk, server: Server) -> None:
    first, *others = commands(README)
    walk.type(first, MYSQL_PWD=PASSWORD)
    walk.account(walk.home / ".my.cnf")
    profile = indented(README, "[profile.default]")
    job = indented(README, "[job.nightly]")
    walk.configure(profile)
    runs: dict[str, str] = {}
    for line in others:
        if line == "tablevault repair before-change shop.orders":
            server.sql(DAMAGE)
        if line == "tablevault rollback RUN":
            walk.type("tablevault restore before-change shop.orders --swap")
            runs["RUN"] = walk.run("swapped")
        if line == "tablevault job nightly":
            walk.configure(profile, job)
        for word, run in runs.items():
            line = line.replace(word, run)
        # what differs is a finding
        walk.type(line, 3 if line == "tablevault repair before-change shop.orders" else 0)
        if line == "tablevault restore before-change shop.orders":
            runs["RUN"] = walk.run("proven")
        if line.startswith("tablevault rollback"):
            runs["RUN"] = walk.run("rolled back")
    assert "never" not in walk.type("tablevault show latest")


def test_the_pages_of_help(walk: Walk) -> None:
    """The manual page and the shell's completion, as both pages say."""
    found = re.findall(r"`((?:mkdir -p ~|tablevault man|eval ).*?[^`])`(?!`)", README + OPERATIONS)
    assert len(found) >= 5
    for line in sorted(found, key=lambda one: not one.startswith("mkdir")):
        walk.type(line.replace("[COMMAND]", "").replace("COMMAND", "restore"))
    page = walk.home / ".local/share/man/man1/tablevault.1"
    assert page.read_text().startswith((".TH", ".\\"))


def test_operations(walk: Walk, server: Server) -> None:
    walk.account(walk.folder / "etc" / "db1.cnf")
    sections, incremental, jobs = re.findall(r"```toml\n(.*?)```", OPERATIONS, re.DOTALL)
    profile = jobs.partition("[job.")[0]
    walk.configure(profile)
    walk.type("tablevault snapshot 'shop.*' --name before-change")
    run = ""
    for line in commands(OPERATIONS):
        if line.startswith("tablevault restore --resume"):
            walk.type("tablevault restore before-change shop.orders")
            run = walk.run("proven")
        if line == "tablevault job nightly":
            walk.configure(jobs)
        walk.type(line.replace("RUN", run))
    # whatever else is shown as a configuration is one
    walk.configure(sections)
    assert "before-change" in walk.type("tablevault list")
    walk.type("tablevault prune")
    walk.configure(profile, incremental)
    for job in re.findall(r"^\[job\.(\w+)\]", incremental, re.MULTILINE):
        walk.type(f"tablevault job {job}")
    assert not (walk.folder / "paged").exists()


@pytest.mark.parametrize("kind", ["systemd", "cron"])
def test_what_the_scheduler_starts_works(walk: Walk, kind: str) -> None:
    """With as little around it as a scheduler gives: no shell's profile, another folder."""
    walk.account(walk.folder / "etc" / "db1.cnf")
    walk.configure(re.findall(r"```toml\n(.*?)```", OPERATIONS, re.DOTALL)[-1])
    printed = walk.type(f"tablevault schedule nightly --format {kind} --run-as vault")
    if kind == "systemd":
        [command] = re.findall(r"^ExecStart=(.*)$", printed, re.MULTILINE)
    else:
        [line] = [line for line in printed.splitlines() if not line.startswith("#")]
        command = line.split(" ", 6)[6]
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": str(walk.home), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert kind == "systemd" or done.stdout == "", "cron mails what is printed"
    metrics = (walk.folder / "metrics" / "tablevault_nightly.prom").read_text()
    assert "tablevault_job_exit_code{" in metrics
    assert "tablevault_drill_timestamp_seconds{" in metrics
    shutil.rmtree(walk.folder / "backup")


def test_a_drill_that_is_refused_has_nothing_to_clean_up(walk: Walk) -> None:
    """What the README's account may not do: leave the binary log."""
    walk.account(walk.home / ".my.cnf")
    walk.configure(indented(README, "[profile.default]"))
    walk.type("tablevault snapshot")
    told = json.loads(walk.type("tablevault drill latest --no-binlog --json", 4))
    assert "may not leave the binary log" in told["error"]
    assert "cleanup" not in told["hint"]
    assert "drilling" not in walk.type("tablevault runs")
    assert json.loads(walk.type("tablevault drill latest --json")).get("hints", []) == []
