"""A job's webhook, on a real HTTP server: told once of each change, and never in the job's way."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tablevault.cli.app import app
from tablevault.cli.job_run import JobEnd, StepEnd
from tablevault.cli.jobs_config import SecretReference, read_jobs
from tablevault.cli.webhook import call_webhook
from tablevault.errors import UsageError
from tablevault.names import JOBS_FOLDER
from tablevault.vault.store import open_store
from tests.unit.test_jobs import run, stat_mode, write
from tests.unit.test_verify_nights import IDS
from tests.unit.vaults import write_snapshot

SECRET = "T0K3N-of-the-webhook"
HOOK = SecretReference(env="TV_TEST_HOOK")


class Receiver:
    """An HTTP server that answers as told, one code a call (0: stalls), then 200."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.calls.append((self.path, self.headers["Content-Type"], json.loads(body)))
                code = receiver.answers.pop(0) if receiver.answers else 200
                if code == 0:
                    receiver.over.wait(30)
                    return
                self.send_response(code)
                if 300 <= code < 400:
                    self.send_header("Location", f"{receiver.url}/elsewhere")
                self.end_headers()

            def do_GET(self) -> None:
                receiver.calls.append((self.path, "GET", {}))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/{SECRET}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    @property
    def states(self) -> list[str]:
        return [body.get("state", "") for _, _, body in self.calls]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    found = Receiver()
    found.thread.start()
    monkeypatch.setenv("TV_TEST_HOOK", found.url)
    try:
        yield found
    finally:
        found.over.set()
        found.server.shutdown()
        found.thread.join(30)
        found.server.server_close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / JOBS_FOLDER).mkdir()
    return tmp_path


def ended(code: int) -> JobEnd:
    result = {"snapshot": IDS[0], "run": "r-1", "findings": [{}, {}] if code == 3 else []}
    return JobEnd("nightly", 100.0, 5.0, code, (StepEnd("verify", code, 5.0, result),))


def call(state: Path, code: int, *, within_s: float = 20.0, try_s: float = 10.0) -> None:
    where = {"within_s": within_s, "try_s": try_s}
    call_webhook(HOOK, ended(code), "/v", "db:3306", state, quiet=True, **where)


def test_each_change_of_state_is_told_once(receiver: Receiver, state: Path) -> None:
    for code in (0, 3, 3, 4, 0, 0, 5):
        call(state, code)
    assert receiver.states == ["failed", "recovered", "failed"]
    assert receiver.calls[0] == (
        f"/{SECRET}",
        "application/json",
        {
            "job": "nightly",
            "state": "failed",
            "vault": "/v",
            "server": "db:3306",
            "exit_code": 3,
            "step": "verify",
            "findings": 2,
            "snapshot": IDS[0],
            "run": "r-1",
            "started": 100.0,
            "ended": 105.0,
        },
    )
    memory = state / JOBS_FOLDER / "nightly.webhook.json"
    assert SECRET not in memory.read_text()
    assert stat_mode(memory) == 0o600


def test_a_receiver_that_fails_first_is_told_again(
    receiver: Receiver, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.answers = [503, 429]
    call(state, 3)
    assert receiver.states == ["failed"] * 3
    assert capsys.readouterr().err == ""
    call(state, 3)
    assert len(receiver.calls) == 3


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308, 400, 404])
def test_an_answer_that_will_not_change_ends_the_tries(
    code: int, receiver: Receiver, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.answers = [code]
    call(state, 3)
    assert [path for path, _, _ in receiver.calls] == [f"/{SECRET}"]  # nor went it elsewhere
    told = capsys.readouterr().err
    assert told.startswith("hint: the webhook in $TV_TEST_HOOK was not told of failed: ")
    assert str(code) in told
    assert SECRET not in told
    call(state, 3)  # who was not reached is told after the next run
    assert receiver.states == ["failed"] * 2
    call(state, 3)
    assert len(receiver.calls) == 2


def test_what_cannot_be_remembered_is_said(
    receiver: Receiver, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / JOBS_FOLDER / "nightly.webhook.json").mkdir()
    call(state, 3)
    assert receiver.states == ["failed"]
    assert "hint: the webhook will be told of failed once more: " in capsys.readouterr().err


def test_a_receiver_that_stalls_is_given_up(
    receiver: Receiver, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.answers = [0] * 9
    began = time.monotonic()
    call(state, 3, within_s=2.0, try_s=0.4)
    assert time.monotonic() - began < 10
    assert 2 <= len(receiver.calls) <= 4
    told = capsys.readouterr().err
    assert "no answer" in told
    assert SECRET not in told


def test_an_answer_that_trickles_does_not_hold_the_job(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    over = threading.Event()

    def trickle(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            while not over.wait(0.1):
                connection.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=trickle, args=(listening,))
        thread.start()
        monkeypatch.setenv("TV_TEST_HOOK", f"http://127.0.0.1:{listening.getsockname()[1]}/")
        began = time.monotonic()
        call(state, 3, within_s=1.5, try_s=1.0)
        took_s = time.monotonic() - began
        over.set()
        thread.join(30)
    assert took_s < 10
    assert "no answer within 2 s" in capsys.readouterr().err


def test_nobody_there(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    monkeypatch.setenv("TV_TEST_HOOK", f"http://127.0.0.1:{port}/{SECRET}")
    call(state, 3, within_s=2.0)
    told = capsys.readouterr().err
    assert "Connection refused" in told
    assert SECRET not in told


@pytest.mark.parametrize(
    "url",
    [
        "",
        SECRET,
        f"file:///{SECRET}",
        f"ftp://h/{SECRET}",
        f"https:///{SECRET}",
        f"https://me:{SECRET}@h/",
        f"https://h:{SECRET}/",
        f"https://h/a {SECRET}",
        f"https://h/a\n{SECRET}",
        f"https://[{SECRET}/",
    ],
)
def test_what_is_no_url_is_not_shown(
    url: str, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TV_TEST_HOOK", url)
    call(state, 3)
    told = capsys.readouterr().err
    assert "$TV_TEST_HOOK" in told
    assert SECRET not in told


@pytest.mark.parametrize(
    "value",
    [
        f'"https://h/{SECRET}"',
        f'{{env = "https://h/{SECRET}"}}',
        f'{{file = "https://h/{SECRET}"}}',
        f'{{url = "https://h/{SECRET}"}}',
        '{env = "A", file = "b"}',
        "{env = 3}",
        "{}",
    ],
)
def test_a_url_in_the_configuration_is_refused_and_not_shown(
    value: str, tmp_path: Path, vault: Path
) -> None:
    path = write(tmp_path / "c.toml", vault, f'steps = ["verify latest"]\nwebhook = {value}')
    with pytest.raises(UsageError) as refused:
        read_jobs(path, app.commands)
    assert refused.value.message.startswith(f"{path}:6: job.nightly.webhook: must be ")
    assert SECRET not in f"{refused.value.message} {refused.value.hint}"


def test_a_job_calls_it_and_keeps_its_exit_code(
    receiver: Receiver, vault: Path, tmp_path: Path
) -> None:
    secret, metrics = tmp_path / "hook.url", tmp_path / "m.prom"
    secret.write_text(f"{receiver.url}\n")
    job = f'webhook = {{file = "{secret}"}}\nmetrics = "{metrics}"\nsteps = ["verify latest"]'
    config = write(tmp_path / "c.toml", vault, job)
    receiver.answers = [404]
    store = open_store(str(vault), create=True)
    shown = []
    for round_, code in enumerate((6, 6, 6, 0, 0)):
        if round_ == 3:
            snapshot = write_snapshot(store).snapshot
        done = run(config, "job", "nightly", "--json")
        assert done.returncode == code, done.stderr
        assert ("hint: the webhook in the file" in done.stderr) is (round_ == 0), done.stderr
        shown += [done.stdout, done.stderr]
    assert receiver.states == ["failed", "failed", "recovered"]
    last = receiver.calls[-1][2]
    assert last["snapshot"] == snapshot.id
    assert last["server"] == f"{snapshot.server.hostname}:{snapshot.server.port}"
    kept = [path.read_text(errors="replace") for path in tmp_path.rglob("*.json*")]
    assert SECRET not in "".join([*shown, *kept, metrics.read_text()])
    os.remove(secret)
    failing = write(tmp_path / "c.toml", vault, job.replace("latest", "nothing"))
    done = run(failing, "job", "nightly")
    assert done.returncode == 6
    assert "it cannot be read: No such file or directory" in done.stderr
