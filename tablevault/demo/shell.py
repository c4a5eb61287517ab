"""The demo's keyboard: shows a command line as a person would type it, and runs just that.

What runs is a process of its own in the demo's folder, which is its home, with an environment from
which everything that could lead it to another server or vault has been taken.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import tablevault
from tablevault.demo.child import run_child
from tablevault.demo.programs import find_program
from tablevault.errors import CannotComplete

_FOREIGN = ("MYSQL_", "MARIADB_", "TABLEVAULT_", "XDG_")


class Shell:
    """Runs command lines in `folder`; what they print on standard output goes to `out`."""

    def __init__(self, folder: Path, out: TextIO) -> None:
        self.folder = folder
        self.out = out

    def tablevault(self, *words: str, code: int = 0) -> str:
        """Type `tablevault WORDS...`; return what it printed on standard output.

        Raises CannotComplete when it does not end with `code`.
        """
        return self._run(
            f"tablevault {shlex.join(words)}", [sys.executable, "-m", "tablevault", *words], code
        )

    def typed(self, line: str) -> str:
        """Type a command line of tablevault as it was printed."""
        return self.tablevault(*shlex.split(line)[1:])

    def sh(self, script: str) -> str:
        """Type `sh SCRIPT`; as `tablevault`."""
        return self._run(f"sh {script}", ["/bin/sh", script], 0)

    def _run(self, shown: str, command: Sequence[str], expected: int) -> str:
        self.out.write(f"$ {shown}\n")
        self.out.flush()
        with tempfile.TemporaryFile("w+", dir=self.folder) as printed:
            try:
                code = self._child(command, printed)
            finally:
                printed.seek(0)
                text = printed.read()
                self.out.write(text)
                self.out.flush()
        if code != expected:
            raise CannotComplete(
                f"`{shown}` ended with exit code {code}", hint="its own message is above"
            )
        return text

    def _child(self, command: Sequence[str], printed: TextIO) -> int:
        return run_child(
            command,
            stop=signal.SIGINT,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            # Ctrl-C reaches us alone, who pass it on once: it is one interruption, not two.
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
        kept["HOME"] = str(self.folder)
        ours = str(Path(tablevault.__file__).parent.parent)
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [ours, kept.get("PYTHONPATH")]))
        client = str(Path(find_program("mariadb")).parent)
        kept["PATH"] = os.pathsep.join([kept.get("PATH", os.defpath), client])
        return kept
