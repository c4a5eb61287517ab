"""Text as roff of the man macros: what a reader sees is what was given, and can be pasted."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

# Plain, a formatter would set these as typographic characters that no shell knows; a minus is not
# told from a hyphen, so that every option can be copied.
_SPECIAL = {
    "\\": r"\e",
    "-": r"\-",
    "'": r"\(aq",
    '"': r"\(dq",
    "`": r"\(ga",
    "^": r"\(ha",
    "~": r"\(ti",
}


def escaped(text: str) -> str:
    """One line of text; no control line, whatever it begins with."""
    written = "".join(
        _SPECIAL.get(char) or (char if char.isascii() else rf"\[u{ord(char):04X}]") for char in text
    )
    return rf"\&{written}" if written.startswith(".") else written


def bold(text: str) -> str:
    """One line, as it is typed."""
    return rf"\fB{escaped(text)}\fR"


def italic(text: str) -> str:
    """One line, to be filled in."""
    return rf"\fI{escaped(text)}\fR"


def synopsis(words: str) -> str:
    """A usage or the spellings of an option: what is typed is bold, what is filled in italic."""
    pieces = re.split(r"([\w\-](?:[\w.\-]*[\w\-])?)", words)
    typed = re.compile(r"-|[a-z]")
    return "".join(
        escaped(piece) if not number % 2 else (bold(piece) if typed.match(piece) else italic(piece))
        for number, piece in enumerate(pieces)
    )


def title(name: str, day: str, source: str) -> list[str]:
    """The head of a page of section 1; `day` as YYYY-MM-DD."""
    return [f'.TH "{escaped(name.upper())}" "1" "{day}" "{escaped(source)}"']


def section(heading: str) -> list[str]:
    """A heading."""
    return [f".SH {escaped(heading)}"]


def tagged(entries: Iterable[tuple[str, str]]) -> list[str]:
    """Terms, in roff, each with its text."""
    lines = []
    for term, text in entries:
        lines += [".TP", term, *_filled(text)]
    return lines


def prose(text: str) -> list[str]:
    """Paragraphs; one that begins with click's `\\b` keeps its lines."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        first, _, rest = paragraph.partition("\n")
        kept = first.strip() == "\b"
        lines += [".PP"] if lines else []  # a heading begins a paragraph of its own
        lines += literal(textwrap.dedent(rest).splitlines()) if kept else _filled(paragraph)
    return lines


def literal(lines: Iterable[str]) -> list[str]:
    """Lines as they are."""
    return [".EX", *map(escaped, lines), ".EE"]


def _filled(text: str) -> list[str]:
    """A paragraph that the formatter fills; a sentence ends its line, as it wants them to."""
    sentences = re.split(r"(?<=\.) (?=[A-Z])", " ".join(text.split()))
    return [
        escaped(line)
        for sentence in sentences
        for line in textwrap.wrap(sentence, 72, break_long_words=False, break_on_hyphens=False)
    ]
