"""A job's webhook: called once when a failure begins and once when it is over.

The URL is a secret: it is read from where the configuration refers to at the moment of the call,
and is in no message.  What cannot be delivered is a hint, and is tried again after the next run.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tablevault import __version__
from tablevault.cli.job_findings import findings_of
from tablevault.cli.job_told import Told
from tablevault.cli.output import tell
from tablevault.errors import TablevaultError

if TYPE_CHECKING:
    from tablevault.cli.job_run import JobEnd
    from tablevault.cli.jobs_config import SecretReference

WITHIN_S = 30.0  # all tries together: whatever the receiver does, the job ends
TRY_S = 10.0
_FIRST_DELAY_S = 0.5  # doubled from try to try
_LATER_CODES = (408, 425, 429)  # of 4xx, those that another try may change


class _Refused(Exception):
    """A try that failed, in words without the URL; `final` when another would fail alike."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its body, perhaps at a stranger's."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def call_webhook(
    webhook: SecretReference,
    done: JobEnd,
    vault: str,
    server: str | None,
    state_dir: Path,
    *,
    within_s: float = WITHIN_S,
    try_s: float = TRY_S,
    quiet: bool = False,
) -> None:
    """Tell the webhook when the job's state is another one than it was last told.

    Never raises for what the receiver, the network or the reference does: that is a hint.
    """
    told = Told(state_dir, done.job, "webhook")
    state = told.due(done.ok)
    if state is None:
        return
    if not quiet:
        tell(f"telling the webhook in {webhook} of {state} (up to {within_s:.0f} s)")
    body = json.dumps(webhook_body(done, state, vault, server)).encode()
    try:
        _deliver(_url(webhook), body, within_s, try_s)
    except _Refused as error:  # not remembered: it is told after the next run
        tell(f"hint: the webhook in {webhook} was not told of {state}: {error}")
        return
    try:
        told.keep(state)
    except TablevaultError as error:
        tell(f"hint: the webhook will be told of {state} once more: {error}")


def webhook_body(done: JobEnd, state: str, vault: str, server: str | None) -> dict[str, Any]:
    """What is sent, as JSON; times in Unix seconds.  No message: one may quote values of rows."""
    failed = [end.command for end in done.steps if end.exit_code]
    results = [end.result for end in reversed(done.steps) if end.result]
    return {
        "job": done.job,
        "state": state,
        "vault": vault,
        "server": server,
        "exit_code": done.exit_code,
        "step": failed[-1] if failed else None,
        "findings": sum(len(findings_of(end.result)) for end in done.steps),
        "snapshot": next((one["snapshot"] for one in results if one.get("snapshot")), None),
        "run": next((one["run"] for one in results if one.get("run")), None),
        "started": done.began,
        "ended": done.began + done.seconds,
    }


def _url(webhook: SecretReference) -> str:
    """The URL that is referred to, checked so far that no library needs to quote it."""
    if webhook.env is not None:
        url = os.environ.get(webhook.env, "").strip()
    else:
        try:
            url = Path(webhook.file or "").expanduser().read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise _Refused(f"it cannot be read: {why}", final=True) from None
    if not url:
        raise _Refused("nothing is in it", final=True)
    with suppress(ValueError):
        parts = urlsplit(url)
        plain = url.isascii() and url.isprintable() and " " not in url
        web = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if plain and web and "@" not in parts.netloc:
            return url
    raise _Refused("what is in it is no http:// or https:// URL without a user", final=True)


def _deliver(url: str, body: bytes, within_s: float, try_s: float) -> None:
    """Post until it is taken.  Raises _Refused within `within_s`, come what may.

    In a thread of its own: the time-out of a socket bounds neither the look-up of a name nor an
    answer that comes byte by byte.
    """
    ends: list[_Refused | None] = []
    deadline_s = time.monotonic() + within_s

    def deliver() -> None:
        try:
            _try_until(deadline_s, url, body, try_s)
            ends.append(None)
        except _Refused as error:
            ends.append(error)
        except Exception as error:  # a thread's traceback would show the URL
            ends.append(_Refused(_why(error)))

    thread = threading.Thread(target=deliver, name="webhook", daemon=True)
    thread.start()
    thread.join(within_s)
    end = ends[0] if ends else _Refused(f"no answer within {within_s:.0f} s")
    if end is not None:
        raise end


def _try_until(deadline_s: float, url: str, body: bytes, try_s: float) -> None:
    delay_s = _FIRST_DELAY_S
    while True:
        try:
            return _post(url, body, max(0.1, min(try_s, deadline_s - time.monotonic())))
        except _Refused as error:
            if error.final or time.monotonic() + delay_s >= deadline_s:
                raise
        time.sleep(delay_s)
        delay_s *= 2


def _post(url: str, body: bytes, timeout_s: float) -> None:
    """One try.  Raises _Refused, in words of ours: those of the libraries may quote the URL."""
    headers = {"Content-Type": "application/json", "User-Agent": f"tablevault/{__version__}"}
    request = urllib.request.Request(url, body, headers, method="POST")
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        opener.open(request, timeout=timeout_s).close()
    except urllib.error.HTTPError as error:
        error.close()
        final = error.code < 500 and error.code not in _LATER_CODES
        what = "a redirect, which is not followed" if 300 <= error.code < 400 else "HTTP status"
        raise _Refused(f"the answer was {what}: {error.code}", final=final) from None
    except urllib.error.URLError as error:
        raise _Refused(_why(error.reason)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Refused(_why(error)) from None


def _why(cause: object) -> str:
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, socket.gaierror):
        return "its host's name is not known"
    if isinstance(cause, ssl.SSLError):
        return "its certificate or TLS was not accepted"
    if isinstance(cause, OSError) and cause.errno:
        return f"it cannot be reached: {os.strerror(cause.errno)}"
    return f"the call failed: {type(cause).__name__}"
