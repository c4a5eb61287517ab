"""A proven restore to swap, and what can be seen of a schema around it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tablevault.events import Event
from tablevault.ops.options import SwapResult
from tablevault.ops.swap import cleanup, rollback, swap
from tests.servers import Server
from tests.support.roundtrip import pattern, put_back, take

FAMILY = """
CREATE TABLE country (code CHAR(2) PRIMARY KEY) ENGINE=InnoDB;
CREATE TABLE customer (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, country CHAR(2), boss INT, name VARCHAR(40),
  touched INT NOT NULL DEFAULT 0,
  UNIQUE KEY by_name (name, id), KEY (country), KEY (boss),
  CONSTRAINT of_country FOREIGN KEY (country) REFERENCES country (code) ON UPDATE CASCADE,
  CONSTRAINT has_boss FOREIGN KEY (boss) REFERENCES customer (id) ON DELETE SET NULL
) ENGINE=InnoDB COMMENT='who pays';
CREATE TABLE orders (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, customer INT, name VARCHAR(40),
  KEY (customer), KEY (name, customer),
  FOREIGN KEY (customer) REFERENCES customer (id) ON DELETE CASCADE,
  CONSTRAINT both_ways FOREIGN KEY (name, customer) REFERENCES customer (name, id)
) ENGINE=InnoDB;
INSERT INTO country VALUES ('de'), ('fr'), ('it');
INSERT INTO customer (id, country, boss, name) VALUES
  (1, 'de', NULL, 'ada'), (2, 'fr', 1, 'bob'), (3, 'it', 1, 'cyd'), (4, NULL, 2, 'dan');
INSERT INTO orders (id, customer, name) VALUES (1, 1, 'ada'), (2, 2, 'bob'), (3, 2, NULL);
"""


def staged(server: Server, vault: Path, schema: str, names: Sequence[str], **options: Any) -> str:
    """A snapshot and its proven restore beside the live tables; the run's id."""
    taken = take(server, vault, [pattern(schema, name) for name in names])
    return put_back(server, vault, taken.id, swap=False, **options).run


class Cut:
    """Cuts over one run; `events` are all that it said."""

    def __init__(self, server: Server, vault: Path, run: str) -> None:
        self.server, self.vault, self.run = server, vault, run
        self.events: list[Event] = []

    def swap(self, **wishes: Any) -> SwapResult:
        return swap(self.server.options(), self.run, self.state, self.events.append, **wishes)

    def rollback(self, **wishes: Any) -> SwapResult:
        return rollback(self.server.options(), self.run, self.state, self.events.append, **wishes)

    def cleanup(self, **wishes: Any) -> SwapResult:
        return cleanup(self.server.options(), self.run, self.state, self.events.append, **wishes)

    @property
    def state(self) -> Path:
        return self.vault / ".runs"


def definitions(server: Server, schema: str) -> dict[str, str]:
    """SHOW CREATE TABLE of all tables that are not a run's own, without AUTO_INCREMENT=."""
    rows = server.query(
        f"SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{schema}' "
        "AND TABLE_NAME NOT LIKE '\\\\_tv\\\\_%' AND TABLE_TYPE = 'BASE TABLE'"
    )
    found = {}
    for (name,) in rows:
        text = server.query(f"SHOW CREATE TABLE `{name}`", schema)[0][1] or ""
        found[str(name)] = re.sub(r" AUTO_INCREMENT=\d+", "", text)
    return found


def trigger_list(server: Server, schema: str) -> list[tuple[str | None, ...]]:
    """Every trigger: on which table, under which name, what, in which order and session."""
    return server.query(
        "SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION, "
        "ACTION_ORDER, ACTION_STATEMENT, SQL_MODE, DEFINER, CHARACTER_SET_CLIENT, "
        f"COLLATION_CONNECTION FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '{schema}' "
        "ORDER BY 1, 3, 4, 5"
    )


def own_tables(server: Server, schema: str) -> list[str]:
    """The tables that runs have left."""
    rows = server.query(
        f"SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{schema}' "
        "AND TABLE_NAME LIKE '\\\\_tv\\\\_%'"
    )
    return [str(name) for (name,) in rows]


def key_to(server: Server, schema: str) -> list[tuple[str | None, ...]]:
    """Every foreign key: child, name, parent."""
    return server.query(
        "SELECT TABLE_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_NAME "
        "FROM information_schema.REFERENTIAL_CONSTRAINTS "
        f"WHERE CONSTRAINT_SCHEMA = '{schema}' OR UNIQUE_CONSTRAINT_SCHEMA = '{schema}' "
        "ORDER BY 1, 2"
    )
