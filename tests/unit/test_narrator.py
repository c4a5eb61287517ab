"""What a working thread has to tell reaches the coordinator, however short its waits are."""

from __future__ import annotations

from tablevault.events import Event, Reporter, Retrying, Waiting
from tablevault.ops.narrator import Narrator

WHO = ("connection 7 of app@web1, idle in transaction 3 s",)


def told(call: list[tuple[str, tuple[str, ...]]]) -> list[Waiting]:
    events: list[Event] = []
    narrator = Narrator()

    def work() -> None:
        for what, blockers in call:
            narrator.say(Retrying(what=what, cause="in use", attempt=1, delay_s=0.0))
            narrator.doing(what, blockers=blockers)

    narrator.run(Reporter("run", events.append), work, lambda: None)
    return [event for event in events if isinstance(event, Waiting)]


def test_who_is_in_the_way_is_told_though_the_wait_ends_before_a_tick() -> None:
    [waiting] = told([("locking a", WHO), ("renaming a", ())])
    assert (waiting.what, waiting.blockers) == ("locking a", WHO)


def test_who_is_in_the_way_is_told_once_and_again_when_it_is_another() -> None:
    other = ("connection 8 of app@web2, 1 s",)
    waits = told([("locking a", WHO), ("locking a", WHO), ("locking a", other)])
    assert [wait.blockers for wait in waits] == [WHO, other]
