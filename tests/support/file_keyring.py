"""A keyring of its own for the keyring library: a JSON file, named by KEYRING_FILE.

Chosen by PYTHON_KEYRING_BACKEND=tests.support.file_keyring.FileKeyring.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class FileKeyring(KeyringBackend):
    """Passwords by service and user; a file that is empty is locked, one that is missing hangs."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        path = Path(os.environ["KEYRING_FILE"])
        while not path.exists():
            time.sleep(0.1)
        text = path.read_text()
        if not text:
            raise KeyringLocked(f"a message that holds {username}'s s3cret-word")
        found: str | None = json.loads(text).get(service, {}).get(username)
        return found

    def set_password(self, service: str, username: str, password: str) -> None:
        path = Path(os.environ["KEYRING_FILE"])
        held = json.loads(path.read_text()) if path.exists() else {}
        held.setdefault(service, {})[username] = password
        path.write_text(json.dumps(held))
