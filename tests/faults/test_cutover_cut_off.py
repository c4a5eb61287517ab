"""A cut-over that is cut off in the middle: taken back, or to its end, before it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tablevault.errors import ConnectionLost, Interrupted
from tablevault.ops.hands import Hands
from tests.servers import Server
from tests.support.cutover import FAMILY, Cut, definitions, key_to, own_tables, staged

STEPS = {
    "dropping foreign keys of": "proven",
    "renaming": "proven",
    "adding foreign keys of": "swapped",
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("by", ["server", "person"])
def test_nothing_is_left_half_done(
    server: Server,
    vault: Path,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    by: str,
) -> None:
    server.sql(FAMILY, database)
    cut = Cut(server, vault, staged(server, vault, database, ["customer"]))
    before, keys = definitions(server, database), key_to(server, database)
    run = Hands.run
    struck: list[str] = []

    def stricken(self: Hands, connection: Any, what: str, statement: str) -> None:
        if what.startswith(step) and not struck:
            struck.append(what)
            for number in self.ids:
                server.sql(f"KILL {number}")
            if by == "person":
                raise KeyboardInterrupt
        run(self, connection, what, statement)

    monkeypatch.setattr(Hands, "run", stricken)
    wanted = STEPS[step]
    with pytest.raises(Interrupted if by == "person" else ConnectionLost) as caught:
        cut.swap()
    if by == "server":
        assert wanted in (caught.value.hint or "")
    assert struck
    assert (definitions(server, database), key_to(server, database)) == (before, keys)
    assert any("_tv_old_" in name for name in own_tables(server, database)) == (wanted == "swapped")
    assert cut.swap().status == "swapped"
    assert (definitions(server, database), key_to(server, database)) == (before, keys)
