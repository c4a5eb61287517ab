"""A place where restores go wrong: a server, a vault with a snapshot, live tables changed since."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from tablevault.cli.wording import event_lines
from tablevault.demo.server import PrivateServer
from tablevault.errors import TablevaultError
from tablevault.events import ChunkDone, Event
from tablevault.model import TableName
from tablevault.mysql.options import ConnectOptions
from tablevault.ops.options import RestoreOptions, RestoreResult, SnapshotOptions
from tablevault.ops.restore import restore, resume
from tablevault.ops.snapshot import snapshot
from tablevault.vault.journal import Entry, read_journal
from tablevault.vault.store import LocalStore, open_store
from tests.faults.proxy import Proxy
from tests.servers import Server
from tests.support.facts import checksum, leftovers, numbers
from tests.support.kept_tablespaces import keep_tablespaces

E = TypeVar("E", bound=Event)

ORDERS = 2_000
NOTES = 300
TABLES = ("notes", "orders")
WITHIN_S = 60.0


def server_of(private: PrivateServer) -> Server:
    """A private server as tests know servers."""
    return Server.of(private.programs.family, private)


def wait_for(what: Callable[[], object], within_s: float = WITHIN_S, why: str = "") -> None:
    """Until `what` is true."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, f"it did not happen: {why or what}"
        time.sleep(0.01)


class Restoring:
    """A restore that runs in a thread: what it told, when, and how it ended."""

    def __init__(self, call: Callable[[Callable[[Event], None]], RestoreResult]) -> None:
        self.events: list[Event] = []
        self.result: RestoreResult | None = None
        self.failure: TablevaultError | None = None
        self._call = call
        self._reactions: list[tuple[Callable[[Event], bool], Callable[[], None]]] = []
        self._thread = threading.Thread(target=self._body, daemon=True)

    def start(self) -> Restoring:
        self._thread.start()
        return self

    def _body(self) -> None:
        try:
            self.result = self._call(self.events.append)
        except TablevaultError as error:
            self.failure = error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    @property
    def run(self) -> str:
        """The id of the run."""
        return self.events[0].run

    @property
    def told(self) -> str:
        """All that a person would have read, and the error with its advice."""
        lines = [line for event in list(self.events) for line in event_lines(event, 1)]
        if self.failure is not None:
            lines += [f"error: {self.failure.message}", f"hint: {self.failure.hint}"]
        return "\n".join(lines)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind."""
        return [event for event in list(self.events) if isinstance(event, kind)]

    def wait_event(
        self,
        kind: type[E],
        which: Callable[[E], object] = lambda event: True,
        within_s: float = WITHIN_S,
    ) -> E:
        """The first such event, once it is there."""
        found: list[E] = []

        def look() -> bool:
            found[:] = [event for event in self.of(kind) if which(event)]
            assert found or self.running, f"no {kind.__name__}; it ended:\n{self.told}"
            return bool(found)

        wait_for(look, within_s, f"{kind.__name__}\n{self.told}")
        return found[0]

    def wait_loaded(self, groups: int = 1) -> None:
        """Until so many row groups are loaded."""

        def look() -> bool:
            done = [event for event in self.of(ChunkDone) if event.phase == "loading"]
            assert self.running, f"it ended:\n{self.told}"
            return len(done) >= groups

        wait_for(look, why=f"{groups} row groups")

    def wait_phase(self, phase: str) -> None:
        """Until something was said in that phase."""
        self.wait_event(Event, lambda event: event.phase == phase)

    def ended(self, within_s: float = WITHIN_S) -> Restoring:
        """Wait for the end, however it is."""
        self._thread.join(within_s)
        assert not self.running, f"it runs still:\n{self.told}"
        return self

    def succeeded(self, within_s: float = WITHIN_S) -> RestoreResult:
        """Wait for a good end."""
        self.ended(within_s)
        assert self.result is not None, self.told
        return self.result

    def failed(self, exit_code: int, within_s: float = WITHIN_S) -> TablevaultError:
        """Wait for a bad end, of the stated kind."""
        self.ended(within_s)
        assert self.failure is not None, self.told
        assert self.failure.exit_code == exit_code, self.told
        return self.failure

    @property
    def gap_s(self) -> float:
        """The longest time between two events."""
        times = [event.time for event in self.events]
        return max((late - early for early, late in pairwise(times)), default=0.0)


@dataclass
class Place:
    """See above.  `before` are the checksums of the snapshot, `live` those of the tables since."""

    server: Server
    schema: str
    vault: Path
    store: LocalStore
    snapshot: str
    before: dict[str, str] = field(default_factory=dict)
    live: dict[str, str] = field(default_factory=dict)

    @property
    def state_dir(self) -> Path:
        return self.vault / ".runs"

    def options(self, **changes: Any) -> ConnectOptions:
        options: ConnectOptions = self.server.options(**changes)
        return options

    def through(self, proxy: Proxy, **changes: Any) -> ConnectOptions:
        """The server by way of a proxy, in plain text: what it forwards can be read."""
        at = {"host": proxy.host, "port": proxy.port, "ssl_mode": "disabled"}
        return self.options(**at, **changes)

    def account(self, name: str, grants: str) -> None:
        """Make an account, and log in once: MySQL lets it in without TLS from then on."""
        self.server.sql(
            f"DROP USER IF EXISTS {name}; CREATE USER {name} IDENTIFIED BY "
            f"'{self.server.password}'; GRANT {grants} TO {name};"
        )
        self.server.connect(user=name).close()

    def restore(
        self, target: ConnectOptions | None = None, *tables: str, **options: Any
    ) -> Restoring:
        """Begin a restore in a thread."""
        chosen = RestoreOptions(
            **{
                "patterns": tuple(f"{self.schema}.{table}" for table in tables),
                "indexes": "after",
                "swap": True,
                **options,
            }
        )
        at = target or self.options()
        return Restoring(
            lambda observer: restore(at, self.store, "latest", chosen, self.state_dir, observer)
        ).start()

    def resume(self, run: str, target: ConnectOptions | None = None, **options: Any) -> Restoring:
        """Go on with a run in a thread."""
        now = RestoreOptions(**{"swap": True, **options})
        at = target or self.options()
        return Restoring(
            lambda observer: resume(at, self.store, run, self.state_dir, observer, now=now)
        ).start()

    def journal(self, run: str) -> list[Entry]:
        return read_journal(self.state_dir / run)

    def runs(self) -> list[str]:
        """The runs with a journal, oldest first."""
        return sorted(path.parent.name for path in self.state_dir.glob("*/journal.jsonl"))

    def checksums(self) -> dict[str, str]:
        return {table: checksum(self.server, self.schema, table) for table in self.before}

    def assert_live(self) -> None:
        """No live table was touched."""
        assert self.checksums() == self.live

    def assert_restored(self, *tables: str) -> None:
        """These tables (else all) are as the snapshot has them, the others as they were."""
        wanted = tables or tuple(self.before)
        assert self.checksums() == {
            table: (self.before if table in wanted else self.live)[table] for table in self.before
        }

    def leftovers(self) -> list[str]:
        return leftovers(self.server, self.schema)

    def twice(self, run: str) -> list[tuple[int, int, int]]:
        """The row groups of the keyed table whose loading was begun more than once."""
        keyed = next(
            number
            for number, table in enumerate(self.journal(run)[0]["tables"])
            if TableName(**table["target"]).name == "orders"
        )
        begun = [
            (entry["table"], entry["chunk"], entry["group"])
            for entry in self.journal(run)
            if entry["kind"] == "loading" and entry["table"] == keyed
        ]
        return sorted({group for group in begun if begun.count(group) > 1})


def take(
    server: Server,
    schema: str,
    vault: Path,
    *,
    orders: int = ORDERS,
    chunk_bytes: int = 1,
    tablespaces: bool = False,
) -> Place:
    """Make the tables, snapshot them (their tablespaces too), and change the live ones then."""
    server.sql(
        f"""CREATE TABLE orders (
              id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, state VARCHAR(20), amount DECIMAL(12,2),
              note VARCHAR(300), KEY (state), KEY (amount, state));
            CREATE TABLE notes (n INT, text VARCHAR(100));
            INSERT INTO orders SELECT seq, CONCAT('state ', seq % 7), seq * 1.01,
              REPEAT(CHAR(97 + seq % 26), 20 + seq % 80) FROM {numbers(orders)};
            INSERT INTO notes SELECT seq % 50, REPEAT('n', seq % 90) FROM {numbers(NOTES)};""",
        schema,
    )
    store = open_store(str(vault), create=True)
    options = SnapshotOptions(
        patterns=tuple(f"{schema}.{table}" for table in TABLES), chunk_bytes=chunk_bytes
    )
    taken = snapshot(server.options(), store, options)
    if tablespaces:
        keep_tablespaces(server, vault, taken.id)
    place = Place(server, schema, vault, store, taken.id)
    place.before = {table: checksum(server, schema, table) for table in TABLES}
    server.sql("UPDATE orders SET amount = -1 WHERE id = 7; DELETE FROM notes LIMIT 1;", schema)
    place.live = place.checksums()
    return place
