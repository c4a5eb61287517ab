"""The examples of docs/LIBRARY.md run as they stand, one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ROOT, Server

PAGE = (ROOT / "docs" / "LIBRARY.md").read_text(encoding="utf-8")


@pytest.fixture
def shop(server: Server) -> Iterator[str]:
    """The schema that the page speaks of."""
    server.sql(
        "DROP DATABASE IF EXISTS shop; CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop;"
        "CREATE TABLE orders (id INT PRIMARY KEY, price DECIMAL(8,2));"
        "CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(30));"
        "INSERT INTO orders VALUES (1, 9.50), (2, 3.00);"
        "INSERT INTO items VALUES (1, 'a'), (2, 'b');"
    )
    yield "shop"
    server.sql("DROP DATABASE shop")


def test_the_examples_run(
    server: Server, shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = tmp_path / ".my.cnf"
    account.write_text(
        f"[client]\nhost={server.host}\nport={server.port}\nuser={server.user}\n"
        f"password={server.password}\n"
    )
    account.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MYSQL_PWD", raising=False)
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) >= 8
    names: dict[str, Any] = {}
    for number, example in enumerate(examples):
        exec(compile(example, f"LIBRARY.md, example {number}", "exec"), names)
