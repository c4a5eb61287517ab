"""Jobs: checked before they run, one at a time, stopped at the first failure, and told of."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from tablevault.cli.app import app
from tablevault.cli.config_file import ConfigMistaken
from tablevault.cli.job_run import JobEnd, StepEnd
from tablevault.cli.jobs_config import read_jobs
from tablevault.cli.metrics import metrics_text
from tablevault.errors import UsageError
from tablevault.vault.store import LocalStore, open_store
from tests.servers import ROOT
from tests.support.systemd import find_systemd
from tests.unit.test_retention import drilled
from tests.unit.test_verify_nights import IDS, flip, of_vault
from tests.unit.vaults import write_snapshot

HEAD = '[profile.default]\nvault = "{vault}"\n\n'


@pytest.fixture
def store(vault: Path) -> LocalStore:
    found = open_store(str(vault), create=True)
    for one in IDS:
        write_snapshot(found, one, rows=90)
    return found


@pytest.fixture
def config(tmp_path: Path, vault: Path) -> Path:
    return write(
        tmp_path / "tablevault.toml", vault, 'steps = ["verify --all", "prune --keep-last 9"]'
    )


def write(path: Path, vault: Path, job: str) -> Path:
    path.write_text(f"{HEAD.format(vault=vault)}[job.nightly]\n{job}\n")
    return path


def words(config: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "tablevault", *more, "--config", str(config)]


def run(config: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(config, *more),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def hook(tmp_path: Path, name: str, *, fails: int = 0) -> tuple[str, Path]:
    """A program that notes what it was told, after failing a few times; as TOML, and the notes."""
    notes, program = tmp_path / f"{name}.notes", tmp_path / f"{name}.sh"
    program.write_text(
        f"""#!/bin/sh
echo try >>{notes}.tries
[ $(wc -l <{notes}.tries) -le {fails} ] && exit 1
echo "$TABLEVAULT_JOB $TABLEVAULT_STATUS $TABLEVAULT_EXIT_CODE $TABLEVAULT_STEP" >>{notes}
cat >{notes}.json
"""
    )
    program.chmod(0o700)
    return json.dumps([str(program)]), notes


@pytest.mark.parametrize(
    ("job", "line", "key", "what"),
    [
        ("steps = 3", 5, "steps", "list of command lines"),
        ('at = "02:30"', 4, "", "needs steps"),
        ('steps = ["verify --all"]\nat = "25:00"', 6, "at", "time of day"),
        ('steps = ["verify --all"]\nwhen = "x"', 6, "when", "unknown key"),
        ('steps = [\n  "verify --all",\n  "verfy latest",\n]', 7, "steps", "a step is one of"),
        ('steps = ["verify --all --bugdet 3m"]', 5, "steps", "--bugdet"),
        ('steps = ["verify"]\njitter = 5', 6, "jitter", "duration"),
        ('steps = ["verify --all --vault /x"]', 5, "steps", "--vault is for the job"),
        ('steps = ["snapshot --password=x"]', 5, "steps", "password"),
        ('steps = ["snapshot \'a"]', 5, "steps", "quotation"),
        ('steps = ["verify latest"]\n\npassword = "x"', 7, "password", "unknown key"),
        ('steps = ["verify latest"]\nweekdays = ["monday"]', 6, "weekdays", "list of mon"),
        ('steps = ["verify latest"]\non_failure = "page me"', 6, "on_failure", "list of words"),
        ("steps = []", 5, "steps", "needs steps"),
        ('steps = ["verify x"]\nprofile = "defualt"', 6, "profile", "no [profile.defualt]"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_key(
    tmp_path: Path, vault: Path, job: str, line: int, key: str, what: str
) -> None:
    path = write(tmp_path / "c.toml", vault, job)
    with pytest.raises(UsageError) as refused:
        read_jobs(path, app.commands)
    where = f"{path}:{line}: job.nightly{'.' + key if key else ''}: "
    assert refused.value.message.startswith(where), refused.value.message
    assert what in refused.value.message
    if key == "password":
        assert "defaults_file" in (refused.value.hint or "")


def test_all_that_is_wrong_is_told_at_once_with_what_was_meant(tmp_path: Path, vault: Path) -> None:
    path = write(
        tmp_path / "c.toml",
        vault,
        'stpes = []\nsteps = [\n  "verfy x",\n  "verify --bugdet 3m x",\n'
        '  "diff --password=hush",\n]\nweekdays = [\n  "mon",\n  "teu",\n]\nprofile = "defualt"\n\n'
        "[job.Weekly]\n[profile.b]\nhots=1",
    )
    with pytest.raises(ConfigMistaken) as refused:
        read_jobs(path, app.commands)
    found = [(one.line, one.key, one.hint) for one in refused.value.mistakes]
    assert "--password-command" in (found.pop(3)[2] or "")
    assert found == [
        (5, "job.nightly.stpes", "did you mean 'steps'?"),
        (7, "job.nightly.steps", "did you mean 'verify'?"),
        (8, "job.nightly.steps", "did you mean --budget?"),
        (13, "job.nightly.weekdays", "did you mean 'tue'?"),
        (15, "job.nightly.profile", "did you mean 'default'?"),
        (17, "job.Weekly", None),
        (17, "job.Weekly", 'such as steps = ["verify latest"]'),
        (19, "profile.b.hots", "did you mean 'host'?"),
    ]
    assert refused.value.mistakes[3].line == 9
    assert "hush" not in refused.value.message


def test_a_job_that_goes_well_says_one_line_or_nothing(store: LocalStore, config: Path) -> None:
    done = run(config, "job", "nightly")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("job nightly: ok, 2 steps in ")
    quiet = run(config, "job", "nightly", "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    record = json.loads(run(config, "job", "nightly", "--json").stdout)
    assert (record["status"], record["exit_code"]) == ("ok", 0)
    assert [step["command"] for step in record["steps"]] == ["verify", "prune"]
    assert record["steps"][0]["result"]["snapshots"][0]["chunks_checked"] == 3
    unknown = run(config, "job", "weekly")
    assert unknown.returncode == 2
    assert "jobs there: nightly" in unknown.stderr


def test_the_events_of_all_steps_are_in_the_file(
    store: LocalStore, config: Path, tmp_path: Path
) -> None:
    events = tmp_path / "events.jsonl"
    assert run(config, "job", "nightly", "--events", str(events)).returncode == 0
    began = [json.loads(line) for line in events.read_text().splitlines()]
    assert [one["operation"] for one in began if one["type"] == "RunBegan"] == ["verify", "prune"]
    refused = run(config, "job", "nightly", "--events", "-")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "give --events a file" in refused.stderr


def test_a_flipped_bit_is_told_of_once_in_a_week_and_so_is_its_end(
    store: LocalStore, tmp_path: Path, vault: Path
) -> None:
    failure, failed = hook(tmp_path, "failure")
    recovery, recovered = hook(tmp_path, "recovery")
    metrics = tmp_path / "tablevault.prom"
    path = of_vault(store)[-2]
    content = flip(path, random.Random(3))
    codes = []
    for night in range(1, 9):
        step = f'"verify --all --budget 20m --subset {(night - 1) % 7 + 1}/7"'
        config = write(
            tmp_path / "c.toml",
            vault,
            f'steps = [{step}, "prune --keep-last 3 --execute"]\nmetrics = "{metrics}"\n'
            f"on_failure = {failure}\non_recovery = {recovery}",
        )
        done = run(config, "job", "nightly", "-q")
        codes.append(done.returncode)
        samples = {
            sample.name: sample.value
            for family in text_string_to_metric_families(metrics.read_text())
            for sample in family.samples
        }
        assert samples["tablevault_job_exit_code"] == codes[-1]
        if codes[-1]:
            assert samples["tablevault_job_findings"] == 1
            assert done.stderr.startswith("tablevault: job nightly FAILED: step 1, verify: ")
            assert "exit code 3; " in done.stderr
            assert "damaged" in done.stderr
            assert done.stderr.endswith("; not run: prune\n")
            assert done.stderr.count("\n") == 1, "cron mails one line"
            assert failed.read_text() == "nightly failed 3 verify\n"
            report = json.loads(Path(f"{failed}.json").read_text())
            assert report["steps"][0]["result"]["status"] == "findings"
            path.write_bytes(content)  # somebody has mended it
        if 3 in codes:
            assert failed.exists()
    assert codes.count(3) == 1
    assert set(codes) == {0, 3}
    assert failed.read_text().count("\n") == 1
    assert recovered.read_text() == "nightly recovered 0 \n"
    assert stat_mode(metrics) == 0o644


def stat_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_hook_is_tried_again(store: LocalStore, tmp_path: Path, vault: Path) -> None:
    missing = 'steps = ["verify nothing"]\non_failure = ["/nowhere/hook"]'
    done = run(write(tmp_path / "c.toml", vault, missing), "job", "nightly")
    assert done.returncode == 6
    assert "could not be carried out" in done.stderr
    failure, failed = hook(tmp_path, "failure", fails=1)
    job = f'steps = ["verify nothing"]\non_failure = {failure}'
    for _ in range(2):  # told by its second try, and not again
        done = run(write(tmp_path / "c.toml", vault, job), "job", "nightly")
        assert done.returncode == 6
        assert "there is no snapshot" in done.stderr
        assert failed.read_text() == "nightly failed 6 verify\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_stopped_from_outside_with_its_step(
    store: LocalStore, tmp_path: Path, vault: Path, number: signal.Signals
) -> None:
    config = write(tmp_path / "c.toml", vault, 'steps = ["verify --all --rate-limit 1"]')
    process = subprocess.Popen(
        words(config, "job", "nightly"),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "checking" in line:
            break
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped in its step verify" in told


def test_a_job_ends_at_its_max_runtime(store: LocalStore, tmp_path: Path, vault: Path) -> None:
    job = 'steps = ["verify --all --rate-limit 1", "prune --keep-last 1"]\nmax_runtime = "2s"'
    began = time.monotonic()
    done = run(write(tmp_path / "c.toml", vault, job), "job", "nightly")
    assert time.monotonic() - began < 60
    assert done.returncode == 130
    assert "stopped after its max_runtime of 2 s" in done.stderr


@pytest.mark.parametrize("openmetrics", [False, True])
def test_two_servers_with_tables_of_the_same_names(openmetrics: bool, vault: Path) -> None:
    store = open_store(str(vault), create=True)
    first = write_snapshot(store, IDS[0]).snapshot
    server = replace(first.server, hostname='other "\\ \n host')
    second = replace(write_snapshot(store, IDS[1]).snapshot, server=server, created=2.0e9)
    drills = [replace(drilled(second, "shop.orders"), at=5.0), drilled(first, "shop.gone")]
    end = JobEnd("nightly", 1.0, 2.0, 0, (StepEnd("verify", 0, 1.0),))
    text = metrics_text(end, [first, second], drills, store.uri, 0, openmetrics=openmetrics)
    read = open_metrics_families if openmetrics else text_string_to_metric_families
    families = list(read(text))
    assert {family.type for family in families} == {"gauge"}
    found = {
        (sample.name, sample.labels.get("server"), sample.labels.get("table")): sample.value
        for family in families
        for sample in family.samples
    }
    taken, proven = "tablevault_snapshot_timestamp_seconds", "tablevault_drill_timestamp_seconds"
    assert found[taken, "db:3306", "shop.orders"] == first.created
    assert found[taken, server.hostname + ":3306", "shop.orders"] == 2.0e9
    assert found[proven, server.hostname + ":3306", "shop.orders"] == 5.0
    assert (proven, "db:3306", "shop.orders") not in found
    assert text.endswith("# EOF\n") is openmetrics


def test_a_file_of_openmetrics_is_named_so(store: LocalStore, config: Path, tmp_path: Path) -> None:
    file = tmp_path / "night.om"
    assert run(config, "job", "nightly", "--metrics", str(file)).returncode == 0
    assert {family.name for family in open_metrics_families(file.read_text())} >= {
        "tablevault_job_exit_code",
        "tablevault_vault_snapshots",
    }


def systemd_units(config: Path) -> dict[str, str]:
    """The printed units by their file names: the service, then the timer."""
    done = run(config, "schedule", "nightly", "--run-as", "root")
    assert done.returncode == 0, done.stderr
    _, *files = done.stdout.split("# /etc/systemd/system/")
    return {name: unit for name, _, unit in (text.partition("\n") for text in files)}


def test_the_timer_catches_up_with_a_missed_night(config: Path) -> None:
    _, timer = systemd_units(config).values()
    assert "Persistent=true" in timer
    assert "OnCalendar=*-*-* 02:30:00" in timer


def test_systemd_takes_the_units(config: Path, tmp_path: Path) -> None:
    checker = find_systemd()
    if checker is None:
        pytest.skip("no systemd-analyze here; said at the end as not tested")
    folder = tmp_path / "units"
    folder.mkdir()
    for name, unit in systemd_units(config).items():
        (folder / name).write_text(unit)
    checked = subprocess.run(
        [checker, "verify", *map(str, sorted(folder.iterdir()))],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in checked.stderr.splitlines() if "tablevault" in line]
    assert (checked.returncode, ours) == (0, []), checked.stderr


def test_cron_and_kubernetes(tmp_path: Path, vault: Path) -> None:
    job = (
        'steps = ["verify latest"]\nat = "04:05"\nweekdays = ["sun", "mon"]\njitter = "10m"\n'
        'max_runtime = "1h"'
    )
    config = write(tmp_path / "c.toml", vault, job)
    line = run(config, "schedule", "nightly", "--format", "cron", "--run-as", "vault").stdout
    assert line.splitlines()[1].startswith("5 4 * * 1,0 vault ")
    assert f"job nightly --config {config} --jitter 600s -q" in line
    text = run(config, "schedule", "nightly", "--format", "kubernetes", "--image", "i:1").stdout
    assert text.startswith("# for kubectl apply -f -, once you have given the container volumes")
    assert 'schedule: "5 4 * * 1,0"' in text
    assert "concurrencyPolicy: Forbid" in text
    assert "activeDeadlineSeconds: 4500" in text  # and the wait at random before
    assert "startingDeadlineSeconds: 21600" in text  # a missed night is caught up with
    assert 'image: "i:1"' in text
    unit = json.loads(run(config, "schedule", "nightly", "--json").stdout)
    assert "OnCalendar=Mon,Sun *-*-* 04:05:00" in unit["text"]
    assert "RandomizedDelaySec=600" in unit["text"]
    assert "RuntimeMaxSec=3900" in unit["text"]
