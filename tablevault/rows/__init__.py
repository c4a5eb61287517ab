"""What a row is, without driver and without Arrow: kinds, buffers, digest, the compiled codec.

The names below load their module when they are first used, so that importing a plain module
of this room does not load the compiled one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tablevault.rows.buffers import ColumnBuffers, RowBatch
    from tablevault.rows.kinds import ColumnSpec, DigestClass, Kind, Storage, spec_of, specs_of
    from tablevault.rows.rowcodec import (
        END,
        ERROR,
        FULL,
        MORE,
        LoadBlocks,
        MalformedPacket,
        RowDecoder,
        RowEncoder,
    )
    from tablevault.rows.text import split_text

__all__ = [
    "END",
    "ERROR",
    "FULL",
    "MORE",
    "ColumnBuffers",
    "ColumnSpec",
    "DigestClass",
    "Kind",
    "LoadBlocks",
    "MalformedPacket",
    "RowBatch",
    "RowDecoder",
    "RowEncoder",
    "Storage",
    "spec_of",
    "specs_of",
    "split_text",
]

_HOME = {
    "ColumnBuffers": "buffers",
    "RowBatch": "buffers",
    "ColumnSpec": "kinds",
    "DigestClass": "kinds",
    "Kind": "kinds",
    "Storage": "kinds",
    "spec_of": "kinds",
    "specs_of": "kinds",
    "split_text": "text",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME.get(name, 'rowcodec')}"), name)
