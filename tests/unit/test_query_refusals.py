"""A query reads the tables of its snapshot; it writes nothing and reads nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tablevault.errors import UsageError
from tablevault.ops.query import query
from tablevault.vault.store import open_store

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"


def times(folder: Path) -> dict[Path, int]:
    """When each file and folder was changed; in that of the locks readers come and go."""
    found = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    return {path: at for path, at in found.items() if path.name != ".locks"}


@pytest.mark.parametrize(
    "sql",
    [
        "COPY keyless TO '{out}'",
        "CREATE TABLE x (i INT)",
        "DELETE FROM keyless",
        "ATTACH '{out}' AS other",
        "INSTALL httpfs",
        "LOAD '{out}'",
        "EXPORT DATABASE '{out}'",
        "SET enable_external_access = true",
        "PRAGMA enable_profiling",
        "SELECT 1; COPY keyless TO '{out}'",
        "WITH x AS (INSERT INTO keyless SELECT * FROM keyless RETURNING *) SELECT * FROM x",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'",
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_parquet('{vault}/*/*/*/*.parquet')",
        "SELECT * FROM sniff_csv('{secret}')",
        "SELECT * FROM query('COPY keyless TO ''{out}''')",
        "FROM store",
        "SELEC 1",
        "",
    ],
)
def test_nothing_else_can_be_done(tmp_path: Path, sql: str) -> None:
    vault = tmp_path / "vault"
    shutil.copytree(GOLDEN, vault)
    (vault / ".locks").mkdir(exist_ok=True)
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    before = times(tmp_path)
    names = {"out": tmp_path / "out", "secret": secret, "folder": tmp_path, "vault": vault}
    with (
        pytest.raises(UsageError) as refused,
        query(open_store(str(vault)), "latest", sql.format(**names)) as result,
    ):
        list(result.answer.rows)
    assert refused.value.exit_code == 2
    assert times(tmp_path) == before
    assert list((vault / ".locks").iterdir()) == []
