"""Private servers that hold keys, to encrypt tables: a real plugin, a real key file."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tablevault.demo.programs import Programs
from tablevault.demo.server import PrivateServer
from tests.servers import PROVISION, ServerMissing, programs


@contextmanager
def encrypting(kind: str, folder: Path) -> Iterator[PrivateServer]:
    """A server of `kind` ("mariadb", "mysql") with a key of its own; `folder` holds its files."""
    folder.mkdir(mode=0o700)
    made, arguments = _mysql(folder) if kind == "mysql" else _mariadb(folder)
    with PrivateServer(programs=made, extra_args=arguments) as server:
        yield server


def _mariadb(folder: Path) -> tuple[Programs, tuple[str, ...]]:
    done = subprocess.run(
        ["bash", str(PROVISION), "mariadb-plugins"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServerMissing(f"no plugins for mariadb:\n{done.stderr.strip()}")
    keys = folder / "keys"
    keys.write_text(f"1;{secrets.token_hex(32)}\n")
    return programs("mariadb"), (
        f"--plugin-dir={done.stdout.splitlines()[-1]}",
        "--plugin-load-add=file_key_management",
        f"--file-key-management-filename={keys}",
    )


def _mysql(folder: Path) -> tuple[Programs, tuple[str, ...]]:
    """MySQL reads from a file beside the program which keyring it has: a program of its own."""
    tree = programs("mysql").tree
    assert tree is not None
    plugins, beside = folder / "plugin", folder / "usr" / "sbin"
    plugins.mkdir()
    beside.mkdir(parents=True)
    component = "component_keyring_file"
    (plugins / f"{component}.so").symlink_to(tree / "usr/lib/mysql/plugin" / f"{component}.so")
    settings = {"path": str(folder / "keyring"), "read_only": False}
    (plugins / f"{component}.cnf").write_text(json.dumps(settings))
    program, real = beside / "mysqld", beside / "mysqld.real"
    real.symlink_to(tree / "usr/sbin/mysqld.real")
    wrapper = (tree / "usr/sbin/mysqld").read_text()
    program.write_text(wrapper.replace(str(tree / "usr/sbin/mysqld.real"), str(real)))
    program.chmod(0o755)
    manifest = beside / "mysqld.real.my"
    manifest.write_text(json.dumps({"components": f"file://{component}"}))
    os.chmod(manifest, 0o400)
    return Programs("mysql", folder), (f"--plugin-dir={plugins}",)
