"""SQL text for values that an ALTER takes away: kept beside the table until the repair is over."""

from __future__ import annotations

from collections.abc import Sequence

from tablevault.model import TableName
from tablevault.mysql.sql import quote_name, quote_table


def create_kept(kept: TableName, live: TableName, key: Sequence[str], lost: Sequence[str]) -> str:
    """An empty table with the key and some columns of `live`."""
    names = ", ".join(quote_name(name) for name in (*key, *lost))
    keys = ", ".join(quote_name(name) for name in key)
    return (
        f"CREATE TABLE {quote_table(kept)} (PRIMARY KEY ({keys})) ENGINE=InnoDB "
        f"SELECT {names} FROM {quote_table(live)} LIMIT 0"
    )


def fill_kept(kept: TableName, live: TableName, key: Sequence[str], lost: Sequence[str]) -> str:
    """All rows of `live`, those columns of them."""
    names = ", ".join(quote_name(name) for name in (*key, *lost))
    return f"INSERT INTO {quote_table(kept)} ({names}) SELECT {names} FROM {quote_table(live)}"


def put_kept(kept: TableName, live: TableName, key: Sequence[str], lost: Sequence[str]) -> str:
    """Give the rows of `live` back what was kept of them."""
    ours, theirs = quote_table(live), quote_table(kept)
    same = " AND ".join(f"{ours}.{quote_name(k)} = {theirs}.{quote_name(k)}" for k in key)
    values = ", ".join(f"{ours}.{quote_name(c)} = {theirs}.{quote_name(c)}" for c in lost)
    return f"UPDATE {theirs} JOIN {ours} ON {same} SET {values}"
