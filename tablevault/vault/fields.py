"""Reading JSON that somebody may have edited: every field by name, type and range.

Whatever is wrong is SnapshotUnusable, saying which field of which document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from tablevault.errors import SnapshotUnusable
from tablevault.vault.store import check_name

MAX_COUNT = 2**63 - 1  # of rows, of bytes


class Fields:
    """One JSON object and where it stands, as in `manifest of snapshot x: tables[2].server`."""

    def __init__(self, value: object, where: str) -> None:
        self._where = where
        if not isinstance(value, dict):
            raise SnapshotUnusable(f"{where} is not an object")
        self._value: dict[str, Any] = value

    @classmethod
    def parse(cls, text: bytes, where: str) -> Fields:
        """The object that `text` holds."""
        try:
            return cls(_DECODER.decode(text.decode("utf-8")), where)
        except (ValueError, RecursionError):
            raise SnapshotUnusable(f"{where} is not valid JSON") from None

    @property
    def content(self) -> dict[str, Any]:
        return self._value

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._value.get(name) is not None

    def text(self, name: str) -> str:
        value = self._value.get(name)
        return value if isinstance(value, str) else self.refuse(name, "not a string")

    def optional_text(self, name: str) -> str | None:
        return self.text(name) if self.has(name) else None

    def path(self, name: str) -> str:
        return check_name(self.text(name))

    def hex_digest(self, name: str) -> str:
        value = self.text(name)
        if len(value) != 64 or not set(value) <= set("0123456789abcdef"):
            self.refuse(name, "not a SHA-256 in lowercase hex")
        return value

    def flag(self, name: str) -> bool:
        value = self._value.get(name, False)
        return value if isinstance(value, bool) else self.refuse(name, "not true or false")

    def integer(self, name: str, least: int = 0, most: int = MAX_COUNT) -> int:
        value = self._value.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(name, f"not an integer from {least} to {most}")
        return int(value)

    def optional_integer(self, name: str, most: int = MAX_COUNT) -> int | None:
        return self.integer(name, most=most) if self.has(name) else None

    def big_integer(self, name: str) -> int:
        """An exact integer that is written as a string, since it may exceed 64 bits."""
        value = self.text(name)
        if not (value.isascii() and value.isdecimal() and len(value) <= 60):
            self.refuse(name, "not a decimal integer in a string")
        return int(value)

    def number(self, name: str) -> float:
        value = self._value.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.refuse(name, "not a number")
        return float(value)

    def object(self, name: str) -> Fields:
        return Fields(self._value.get(name), self._at(name))

    def objects(self, name: str) -> Iterator[Fields]:
        """The objects of a list."""
        for index, item in enumerate(self.items(name)):
            yield Fields(item, self._at(f"{name}[{index}]"))

    def items(self, name: str) -> list[Any]:
        value = self._value.get(name)
        return value if isinstance(value, list) else self.refuse(name, "not a list")

    def texts(self, name: str) -> tuple[str, ...]:
        """The strings of a list; an absent list is empty."""
        values = self.items(name) if self.has(name) else []
        if not all(isinstance(value, str) for value in values):
            self.refuse(name, "not a list of strings")
        return tuple(values)

    def mapping(self, name: str) -> dict[str, str]:
        """An object whose values are all strings."""
        values = self.object(name).content
        if not all(isinstance(value, str) for value in values.values()):
            self.refuse(name, "not an object of strings")
        return dict(values)

    def refuse(self, name: str, what: str) -> NoReturn:
        """Raise SnapshotUnusable about the field `name`."""
        raise SnapshotUnusable(
            f"{self._at(name)} is {what}", hint="the file was edited or is damaged"
        )

    def _at(self, name: str) -> str:
        separator = "." if ": " in self._where else ": "
        return f"{self._where}{separator}{name}"


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)  # made once: a list has many lines
