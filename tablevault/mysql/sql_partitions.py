"""SQL text about single partitions: their names, their rows, and the exchange of one."""

from __future__ import annotations

from tablevault.model import Key, TableName
from tablevault.mysql.sql import force_index, quote_name, quote_table, quote_text
from tablevault.mysql.sql_tables import alter_table


def names(table: TableName) -> str:
    """Partition and subpartition, in order; no row for a table without any."""
    return (
        "SELECT PARTITION_NAME, SUBPARTITION_NAME FROM information_schema.PARTITIONS "
        f"WHERE TABLE_SCHEMA = {quote_text(table.schema)} "
        f"AND TABLE_NAME = {quote_text(table.name)} AND PARTITION_NAME IS NOT NULL "
        "ORDER BY PARTITION_ORDINAL_POSITION, SUBPARTITION_ORDINAL_POSITION"
    )


def remove_partitioning(table: TableName) -> str:
    """Make one table of all partitions."""
    return alter_table(table, "REMOVE PARTITIONING")


def exchange(table: TableName, partition: str, other: TableName) -> str:
    """Rows of a partition for those of a table, in one step; each must fit the partition.

    That they fit is checked by default; MariaDB before 11.4 does not know the words for it.
    """
    return alter_table(
        table, f"EXCHANGE PARTITION {quote_name(partition)} WITH TABLE {quote_table(other)}"
    )


def any_row(table: TableName, partition: str) -> str:
    """A row when the partition has one."""
    return f"SELECT 1 FROM {_of(table, partition)} LIMIT 1"


def count_rows(table: TableName, partition: str) -> str:
    """The rows of a partition."""
    return f"SELECT COUNT(*) FROM {_of(table, partition)}"


def count_lacking(table: TableName, partition: str, other: TableName, key: Key) -> str:
    """How many rows of a partition have a key that `other` lacks."""
    columns = [quote_name(part.name) for part in key.columns]
    matched = " AND ".join(f"o.{name} = t.{name}" for name in columns)
    return (
        f"SELECT COUNT(*) FROM {_of(table, partition)} t{force_index(key)} "
        f"LEFT JOIN {quote_table(other)} o{force_index(key)} ON {matched} "
        f"WHERE NOT (o.{columns[0]} <=> t.{columns[0]})"  # as `sql_relations.count_lacking`
    )


def _of(table: TableName, partition: str) -> str:
    return f"{quote_table(table)} PARTITION ({quote_name(partition)})"
