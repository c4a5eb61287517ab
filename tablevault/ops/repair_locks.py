"""Locks of a repair: tried a second at a time, so that nobody queues behind it for longer."""

from __future__ import annotations

from collections.abc import Sequence

from tablevault.model import TableName
from tablevault.ops.hands import Hands
from tablevault.ops.turns import patiently


def lock_tables(
    hands: Hands, tables: Sequence[TableName], lock_wait_s: float, seen: TableName | None = None
) -> bool:
    """Lock tables against everybody; False where this server locks none of them together.

    Raises LockNotGranted when they stayed in use for `lock_wait_s`.
    """
    return patiently(
        hands,
        tables,
        lock_wait_s,
        f"locking {tables[0]}",
        lambda: hands.lock(hands.main, tables, seen),
    )
