"""What part of a table was found to differ: counted, some of it kept, handed on as it comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tablevault.ops.diff_plan import Comparison
from tablevault.ops.diff_terms import (
    ChangedRow,
    Example,
    OnDifferences,
    RangeDifferences,
    Row,
)
from tablevault.rows.matching import Fields, Unmatched, differing
from tablevault.rows.text import field_value

_HANDED_ROWS = 5_000  # at once, at most


class Findings:
    """The tally of one task; belongs to one worker.

    Rows are handed on only of a comparison with a live table.
    """

    def __init__(
        self,
        comparison: Comparison | None,
        examples: int,
        on_differences: OnDifferences | None = None,
    ) -> None:
        self.comparison = comparison
        self.live_rows = 0
        self.missing = self.extra = self.changed = 0
        self.by_column: Counter[int] = Counter()
        self.examples: list[Example] = []
        self._wanted = examples
        self._on_differences = on_differences

    @property
    def differing(self) -> int:
        """Rows that differ, so far."""
        return self.missing + self.extra + self.changed

    def note(self, found: Unmatched) -> None:
        """Count rows that differ, and hand them on."""
        self.missing += len(found.first)
        self.extra += len(found.second)
        self.changed += len(found.changed)
        changed = [(before, after, differing(before, after)) for before, after in found.changed]
        for columns, rows in Counter(columns for _, _, columns in changed).items():
            for at in columns:
                self.by_column[at] += rows
        self._keep_examples(found, changed)
        if self._on_differences is not None:
            self._hand_on(self._on_differences, found, changed)

    def add(self, other: Findings) -> None:
        """Take another task's findings in, as many examples of each kind as are wanted."""
        self.live_rows += other.live_rows
        self.missing += other.missing
        self.extra += other.extra
        self.changed += other.changed
        self.by_column.update(other.by_column)
        for example in other.examples:
            if self._room(example.kind) > 0:
                self.examples.append(example)

    def _keep_examples(
        self, found: Unmatched, changed: Sequence[tuple[Fields, Fields, tuple[int, ...]]]
    ) -> None:
        """Some of each kind: of those that came first, as the kinds come unevenly."""
        for before, after, columns in changed[: self._room("changed")]:
            self.examples.append(Example("changed", _row(before), _row(after), columns))
        for fields in found.first[: self._room("missing")]:
            self.examples.append(Example("missing", _row(fields), None))
        for fields in found.second[: self._room("extra")]:
            self.examples.append(Example("extra", None, _row(fields)))

    def _room(self, kind: str) -> int:
        return self._wanted - sum(example.kind == kind for example in self.examples)

    def _hand_on(
        self,
        consumer: OnDifferences,
        found: Unmatched,
        changed: Sequence[tuple[Fields, Fields, tuple[int, ...]]],
    ) -> None:
        assert self.comparison is not None
        most = max(len(found.first), len(found.second), len(changed))
        for start in range(0, most, _HANDED_ROWS):
            part = slice(start, start + _HANDED_ROWS)
            consumer(
                RangeDifferences(
                    self.comparison,
                    missing=tuple(map(_row, found.first[part])),
                    extra=tuple(map(_row, found.second[part])),
                    changed=tuple(
                        ChangedRow(_row(before), _row(after), columns)
                        for before, after, columns in changed[part]
                    ),
                )
            )


def _row(fields: Fields) -> Row:
    return tuple(map(field_value, fields))
