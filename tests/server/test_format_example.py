"""The SQL of docs/FORMAT.md gives, on a real server, the digest that the page prints."""

from __future__ import annotations

import re
from pathlib import Path

from tests.servers import Server

PAGE = (Path(__file__).parents[2] / "docs" / "FORMAT.md").read_text(encoding="utf-8")


def test_the_server_computes_the_worked_example(server: Server, database: str) -> None:
    example = PAGE[PAGE.index("### Worked example") :]
    create = re.search(r"`(CREATE TABLE .*?)`\n", example)
    query = re.search(r"```sql\n(.*?)```", example, re.DOTALL)
    assert create is not None
    assert query is not None
    out = server.sql(
        f"USE `{database}`; {create.group(1)};"
        "INSERT INTO e VALUES (1, _utf8mb4 x'5A6FC3AB', NULL, 9.50), (2, '', 'a|b', NULL),"
        " (3, NULL, 'N', -0.05);"
        f"{query.group(1)};"
    )
    assert "7196271738" in str(out)
