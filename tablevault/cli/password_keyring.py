"""The password as the machine's keyring holds it: asked once, bounded, and never repeated.

What the keyring's own library says of a failure is not passed on but for its kind: its backends
are many, and nobody knows what each of them puts into a message.
"""

from __future__ import annotations

import threading

from tablevault.cli.output import tell
from tablevault.errors import UsageError

TIMEOUT_S = 30.0
_SAY_S = 3.0  # what takes longer, or waits for somebody to unlock it, is said


def password_in_keyring(service: str, user: str, timeout_s: float = TIMEOUT_S) -> str:
    """What the keyring holds for an account of `service`.

    Raises UsageError without the library or a keyring, when it is locked, or holds nothing.
    """
    try:
        import keyring
    except ImportError:
        raise UsageError(
            "a password is to come from the keyring, and the library for it is not installed",
            hint="pip install 'tablevault[keyring]', or use --password-command",
        ) from None
    name = f"the keyring's {service!r} for {user!r}"
    found: list[str | None] = []
    failed: list[str] = []

    def ask() -> None:
        try:
            found.append(keyring.get_password(service, user))
        except Exception as error:  # of any backend there is, each with errors of its own
            failed.append(type(error).__name__)

    # A daemon: one that waits for a dialogue nobody sees must not outlive its time.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(min(_SAY_S, timeout_s))
    if asking.is_alive():
        tell(f"waiting for {name}, up to {timeout_s:g} s")
        asking.join(timeout_s - min(_SAY_S, timeout_s))
    if asking.is_alive():
        raise UsageError(f"{name} did not come within {timeout_s:g} s", hint="is it locked?")
    if failed:
        raise UsageError(f"{name} cannot be had: {_WHY.get(failed[0], failed[0])}", hint=_HINT)
    if not found[0]:
        raise UsageError(
            f"{name} is not there, or is empty", hint=f"`keyring set {service} {user}` puts it in"
        )
    return found[0]


_WHY = {
    "NoKeyringError": "there is no keyring on this machine",
    "InitError": "it cannot be opened",
    "KeyringLocked": "it is locked",
}
_HINT = (
    "`keyring diagnose` shows which one is used; where nobody is logged in use a defaults file or "
    "--password-command"
)
