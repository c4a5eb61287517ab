"""Which keys, constraints and triggers differ between two definitions of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tablevault.model import TableDef, TableName
from tablevault.mysql import ddl_alter, ddl_facets
from tablevault.mysql.ddl_alter import Step
from tablevault.mysql.ddl_parse import CreateTable, Element, Role
from tablevault.mysql.triggers import Trigger, parse_trigger
from tablevault.ops.schema_terms import SchemaDifference


def key_differences(
    table: TableName, before: CreateTable, after: CreateTable
) -> Iterator[SchemaDifference]:
    """Every index, the primary key too, that is missing, extra, renamed, changed or hidden."""
    olds, news = _indexes(before), _indexes(after)
    renamed = _renamed_indexes(olds, news)
    for name, element in news.items():
        if name not in olds and name not in renamed:
            yield _extra(table, "key", element)
    now_called = {old: new for new, old in renamed.items()}
    for name, element in olds.items():
        present = news.get(now_called.get(name, name))
        if present is None:
            yield _missing(table, "key", element)
        elif present.name != name:
            step = ddl_alter.rename_index(present.name, name)
            yield SchemaDifference(
                table,
                "key renamed",
                name,
                element.text,
                present.text,
                (step,),
                (f"to `{present.name}`",),
            )
        elif ddl_facets.without_visibility(element) != ddl_facets.without_visibility(present):
            yield _changed(table, "key", element, present)
        elif ddl_facets.hidden(element) != ddl_facets.hidden(present):
            visible = ddl_alter.index_visibility(element, present)
            yield SchemaDifference(
                table, "key changed", name, element.text, present.text, (visible,), ("visibility",)
            )


def constraint_differences(
    table: TableName, before: CreateTable, after: CreateTable
) -> Iterator[SchemaDifference]:
    """Every foreign key, and every CHECK that is not part of a column, by its name."""
    for role in (Role.FOREIGN_KEY, Role.CHECK):
        olds = {element.name: element for element in before.of(role)}
        news = {element.name: element for element in after.of(role)}
        for name in news.keys() - olds.keys():
            yield _extra(table, role.value, news[name])
        for name, element in olds.items():
            if name not in news:
                yield _missing(table, role.value, element)
            elif element.text != news[name].text:
                yield _changed(table, role.value, element, news[name])


def trigger_differences(
    table: TableName, before: TableDef, after: TableDef
) -> Iterator[SchemaDifference]:
    """Every trigger that is missing, extra, changed, or fires at another place among its like."""
    olds, news = triggers_of(before), triggers_of(after)
    present = {trigger.name: trigger for trigger in news}
    wanted = {trigger.name for trigger in olds}
    for trigger in news:
        if trigger.name not in wanted:
            step = ddl_alter.drop_trigger(table, trigger.name)
            yield SchemaDifference(
                table, "trigger extra", trigger.name, None, trigger.create_sql(table), (step,)
            )
    stay = _standing(olds, news)
    for at, trigger in enumerate(olds):
        if trigger in stay:
            continue
        now = present.get(trigger.name)
        made = ddl_alter.create_trigger(table, trigger, _order(olds, at, stay))
        dropped = () if now is None else (ddl_alter.drop_trigger(table, trigger.name),)
        yield _trigger_difference(table, trigger, now, (*dropped, *made))


def triggers_of(definition: TableDef) -> tuple[Trigger, ...]:
    """A definition's triggers, in the order in which they fire."""
    settings = definition.trigger_settings or (None,) * len(definition.triggers)
    return tuple(map(parse_trigger, definition.triggers, settings))


def _indexes(table: CreateTable) -> dict[str, Element]:
    return {index.name: index for index in (*table.of(Role.PRIMARY), *table.of(Role.INDEX))}


def _renamed_indexes(olds: dict[str, Element], news: dict[str, Element]) -> dict[str, str]:
    """Indexes that are the same but for their name, each the only one of its kind: new to old."""
    gone: dict[tuple[str, ...], list[str]] = {}
    come: dict[tuple[str, ...], list[str]] = {}
    for these, others, into in ((olds, news, gone), (news, olds, come)):
        for name, index in these.items():
            if name not in others and index.role is Role.INDEX:
                into.setdefault(ddl_facets.without_name(index), []).append(name)
    return {
        names[0]: gone[words][0]
        for words, names in come.items()
        if len(names) == 1 == len(gone.get(words, ()))
    }


def _missing(table: TableName, what: str, element: Element) -> SchemaDifference:
    steps = (ddl_alter.add_element(element),)
    return SchemaDifference(table, f"{what} missing", element.name, element.text, None, steps)


def _extra(table: TableName, what: str, element: Element) -> SchemaDifference:
    steps = (ddl_alter.drop_element(element),)
    return SchemaDifference(table, f"{what} extra", element.name, None, element.text, steps)


def _changed(table: TableName, what: str, element: Element, present: Element) -> SchemaDifference:
    steps = (ddl_alter.drop_element(present), ddl_alter.add_element(element))
    return SchemaDifference(
        table, f"{what} changed", element.name, element.text, present.text, steps
    )


def _standing(olds: Sequence[Trigger], news: Sequence[Trigger]) -> list[Trigger]:
    """Of `olds`, those that are as they were, and fire in the order in which they did."""
    present = {trigger.name: (at, trigger) for at, trigger in enumerate(news)}
    stay: list[Trigger] = []
    last: dict[str, int] = {}
    for trigger in olds:
        at, now = present.get(trigger.name, (-1, None))
        if now is not None and trigger.same_as(now) and at > last.get(trigger.when, -1):
            stay.append(trigger)
            last[trigger.when] = at
    return stay


def _order(olds: Sequence[Trigger], at: int, stay: Iterable[Trigger]) -> str:
    """Where among the triggers of its event it goes: after the one before it, made by then."""
    when = olds[at].when
    earlier = [trigger for trigger in olds[:at] if trigger.when == when]
    if earlier:
        return ddl_alter.follows(earlier[-1].name)
    later = [trigger for trigger in olds[at + 1 :] if trigger.when == when and trigger in stay]
    return ddl_alter.precedes(later[0].name) if later else ""


def _trigger_difference(
    table: TableName, trigger: Trigger, now: Trigger | None, steps: tuple[Step, ...]
) -> SchemaDifference:
    before = trigger.create_sql(table)
    note = ""
    if not ddl_alter.keeps_charset(trigger):
        note = f"it was made in charset {trigger.charset}; the statement shown makes it in utf8mb4"
    if now is None:
        return SchemaDifference(
            table, "trigger missing", trigger.name, before, None, steps, note=note
        )
    facets = trigger.differences(now)
    return SchemaDifference(
        table,
        "trigger changed" if facets else "trigger moved",
        trigger.name,
        before,
        now.create_sql(table),
        steps,
        facets,
        note,
    )
