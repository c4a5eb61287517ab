"""Which columns differ between two definitions of a table, and which were only renamed.

Two definitions cannot tell a renamed column from one that was dropped and another that was added in
its place.  Same place and same text are taken for a rename, and that is said.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tablevault.model import Column, TableName
from tablevault.mysql import ddl_alter, ddl_facets
from tablevault.mysql.ddl_alter import Step
from tablevault.mysql.ddl_parse import CreateTable, Element, Role
from tablevault.ops.schema_terms import SchemaDifference

_EMPTY = "comes back without its values: those come by a repair or a restore"
_CUT = "values that were changed to fit the other type stay so until a repair or a restore"
_PERHAPS = "same place and definition: taken for a rename; its values are compared as such"
_STORAGE = "storage of the generated value"
_TYPING = {"type", "charset"}


@dataclass(frozen=True)
class _Columns:
    """The columns of one definition by name, as text and as the catalog has them."""

    texts: Mapping[str, Element]
    facts: Mapping[str, Column]

    @classmethod
    def of(cls, table: CreateTable, columns: Sequence[Column]) -> _Columns:
        texts = {element.name: element for element in table.of(Role.COLUMN)}
        return cls(texts, {column.name: column for column in columns})

    def facets(self, name: str) -> dict[str, str]:
        return ddl_facets.column_facets(self.texts[name], self.facts[name])


def column_renames(before: CreateTable, after: CreateTable) -> dict[str, str]:
    """Columns that have another name and are otherwise where and what they were: new to old."""
    olds = [element.name for element in before.of(Role.COLUMN)]
    news = [element.name for element in after.of(Role.COLUMN)]
    gone, come = _runs(olds, set(news)), _runs(news, set(olds))
    candidates = {
        new: old
        for place, names in come.items()
        if len(names) == len(gone.get(place, ()))
        for new, old in zip(names, gone[place], strict=True)
    }
    translated = ddl_facets.renamed(after, candidates)
    texts = {element.name: element for element in before.of(Role.COLUMN)}
    return {
        element.name: candidates[element.name]
        for element in translated.of(Role.COLUMN)
        if element.name in candidates
        and ddl_facets.without_name(element)
        == ddl_facets.without_name(texts[candidates[element.name]])
    }


def column_differences(
    table: TableName,
    before: tuple[CreateTable, Sequence[Column]],
    after: tuple[CreateTable, Sequence[Column]],
    renames: Mapping[str, str],
) -> Iterator[SchemaDifference]:
    """Every column that is missing, extra, renamed, changed or elsewhere.

    `after`'s texts name columns as `before` does (`ddl_facets.renamed`); `renames` is new to old.
    """
    olds, news = _Columns.of(*before), _Columns.of(*after)
    now_called = {renames.get(name, name): name for name in news.texts}
    moved = _moved([name for name in olds.texts if name in now_called], list(now_called))
    for name in news.texts:
        if renames.get(name, name) not in olds.texts:
            step = ddl_alter.drop_column(name)
            yield SchemaDifference(
                table, "column extra", name, None, news.texts[name].text, (step,)
            )
    previous: str | None = None
    for name, element in olds.texts.items():
        place = ddl_alter.place_after(previous)
        previous = name
        if name not in now_called:
            step = ddl_alter.add_column(element, place)
            note = "" if olds.facts[name].generated else _EMPTY
            yield SchemaDifference(
                table, "column missing", name, element.text, None, (step,), note=note
            )
            continue
        place = place if name in moved else ""
        yield from _one_column(table, olds, news, name, now_called[name], place)


def _one_column(
    table: TableName, olds: _Columns, news: _Columns, name: str, now: str, place: str
) -> Iterator[SchemaDifference]:
    element, present = olds.texts[name], news.texts[now]
    changed = ddl_facets.changed_facets(olds.facets(name), news.facets(now))
    if name != now:
        step = ddl_alter.rename_column(now, element, place)
        yield SchemaDifference(
            table,
            "column renamed",
            name,
            element.text,
            present.text,
            (step,),
            (f"to `{now}`",),
            note=_PERHAPS,
        )
    elif changed:
        yield _changed(table, olds, element, present, changed, place)
    elif place:
        step = ddl_alter.modify_column(element, place)
        yield SchemaDifference(table, "column moved", name, element.text, present.text, (step,))


def _changed(
    table: TableName,
    olds: _Columns,
    element: Element,
    present: Element,
    changed: tuple[str, ...],
    place: str,
) -> SchemaDifference:
    note = _CUT if _TYPING & set(changed) else ""
    steps: tuple[Step, ...] = (ddl_alter.modify_column(element, place),)
    if _STORAGE in changed:  # not every server makes a stored value a computed one in place
        names = list(olds.texts)
        at = names.index(element.name)
        where = ddl_alter.place_after(names[at - 1] if at else None)
        steps = (ddl_alter.drop_column(element.name), ddl_alter.add_column(element, where))
        note = "" if olds.facts[element.name].generated else _EMPTY
    facets = (*changed, "place") if place else changed
    return SchemaDifference(
        table, "column changed", element.name, element.text, present.text, steps, facets, note
    )


def _runs(names: Sequence[str], shared: set[str]) -> dict[str | None, list[str]]:
    """Names that the other side lacks, by the shared one before them (None: by none)."""
    runs: dict[str | None, list[str]] = {}
    previous = None
    for name in names:
        if name in shared:
            previous = name
        else:
            runs.setdefault(previous, []).append(name)
    return runs


def _moved(olds: Sequence[str], news: Sequence[str]) -> set[str]:
    """The fewest names that must be taken elsewhere to turn the order of `news` into `olds`."""
    at = {name: i for i, name in enumerate(olds)}
    order = [name for name in news if name in at]
    ends: list[int] = []  # of the rising runs of each length, the lowest end, as positions in olds
    ending: list[str] = []
    before: dict[str, str | None] = {}
    for name in order:
        length = bisect_left(ends, at[name])
        before[name] = ending[length - 1] if length else None
        ends[length : length + 1] = [at[name]]
        ending[length : length + 1] = [name]
    standing: set[str] = set()
    last = ending[-1] if ending else None
    while last is not None:
        standing.add(last)
        last = before[last]
    return set(order) - standing
