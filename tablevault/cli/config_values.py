"""What a value of the configuration may be.  Each raises Wrong with what it must be."""

from __future__ import annotations

import os
from typing import Any

from tablevault.cli.config_file import Wrong
from tablevault.cli.types import parse_duration


def text(value: Any) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise Wrong(f"must be a string, not {_shown(value)}")
    return value


def path(value: Any) -> str:
    """A string, `~` at its beginning resolved."""
    return os.path.expanduser(text(value))


def number(value: Any) -> int:
    """A whole number above zero."""
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise Wrong(f"must be a number above zero, not {_shown(value)}")
    return value


def duration(value: Any) -> float:
    """Seconds."""
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except ValueError:
        raise Wrong(f'must be a duration such as "10m", not {_shown(value)}') from None


def texts(value: Any) -> tuple[str, ...]:
    """A list of strings."""
    if not isinstance(value, list):
        raise Wrong(f"must be a list of strings, not {_shown(value)}")
    for place, one in enumerate(value):
        if not isinstance(one, str) or not one:
            raise Wrong(f"must be a list of strings, not with {_shown(one)} in it", at=(place,))
    return tuple(value)


def program(value: Any) -> tuple[str, ...]:
    """A program and its arguments."""
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise Wrong("must be a list of words: a program and its arguments")
    return tuple(value)


def _shown(value: Any) -> str:
    """A value for a message; what is made of parts is not repeated: one may be a secret."""
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, list) else repr(value)
