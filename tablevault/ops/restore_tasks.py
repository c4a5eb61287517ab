"""What a restore does to one table: the job, its steps as tasks of the board, what each costs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tablevault.model import Chunk, RowGroup, ServerInfo, TableEntry, TableName
from tablevault.mysql import engines
from tablevault.mysql.keysets import KeyDigest, LiveKeys
from tablevault.rows.kinds import ColumnSpec
from tablevault.vault.placing import Owner, Placement

# What a step costs beside loading and proving the table's rows once, for the percentage and the
# remaining time.  Measured with two loaders on lineitem, 6 M rows: 12 s for loading, 9 s for two
# index builds with the late proofs beside them, 0.4 s for the last count, 1 s for what the swap
# looks at, or nothing where that was done before; as a tablespace 2.2 s until the server has it,
# 3.3 s for the proofs.
INDEX_COST = 0.16
FINAL_COST = 0.03
SWAP_COST = 0.07
LOOKED_COST = 0.01  # the swap, where the live table was looked at before
PLACE_COST = 0.075  # a byte of a tablespace: unpacked, written, taken in
WRITTEN_PART = 0.6  # of that, until it is to be taken in
PROVE_COST = 0.16  # a byte of rows that are proven without being loaded
LATE_COST = 0.25  # the part of a byte of rows that is its proof, where that comes later
COUNT_COST = 0.02  # the same, for counting them by one index
PLACED_COST = 0.005  # the final proof of a tablespace
LOOK_FROM_BYTES = 64 << 20  # below it the swap's own look takes less than its questions
LOOK_TO_ROWS = 100_000_000  # some 20 s of one core; after 30 s a look is given up
FIXED_COST_BYTES = 200_000.0  # creating and proving even an empty table takes its time


@dataclass(frozen=True)
class Lane:
    """What there is to know of a table that comes as a tablespace."""

    placement: Placement
    size_bytes: int  # of the tablespace
    otherwise: TableJob  # the same table by its rows, for when that fails
    strict: bool = False  # whether it is to fail then
    tries: int = 0  # of earlier processes of the run, which came to nothing
    threads: int = 1  # to unpack it


@dataclass(frozen=True)
class TableJob:
    """One table to restore: from which entry, under which names, by which steps."""

    index: int
    entry: TableEntry
    target: TableName
    staging: TableName
    specs: tuple[ColumnSpec, ...]  # of the stored columns
    chunks: tuple[Chunk, ...]
    staging_sql: str
    indexes: tuple[str, ...]  # ALTER TABLE clauses, built one at a time after the rows
    index_names: tuple[str, ...] = ()  # of `indexes`
    inline: bool | None = None  # whether they come with the rows; None: not decided yet
    indexes_why: str = ""
    late: int = 0  # so many of its last row groups are proven beside the index builds
    replace_staging: bool = False  # a dead run's staging table of that name is dropped first
    server_version: tuple[int, int, int] = (0, 0, 0)  # which wrote the definition
    sample: frozenset[tuple[int, int]] | None = None  # chunk and row group; None: all of them
    looks: bool = False  # whether there is a swap of the whole table, and a worker to look before
    lane: Lane | None = None  # None: by its rows
    strewn: tuple[Placement, ...] = ()  # files of tries that came to nothing, removed before it is

    @property
    def looked_at(self) -> bool:
        """Whether keys are looked at before all is proven.

        Of a small table it saves nothing, a large one would not be done in time.
        """
        entry = self.entry
        fits = entry.wire_bytes >= LOOK_FROM_BYTES and entry.digest.rows <= LOOK_TO_ROWS
        return self.looks and self.keyed and fits

    @property
    def swap_cost(self) -> float:
        """Of the swap, in the same bytes."""
        early = self.looked_at and (self.indexes or (self.lane and self.index_names))
        return self.entry.wire_bytes * (LOOKED_COST if early else SWAP_COST)

    @property
    def keyed(self) -> bool:
        """Whether row groups can be proven one by one."""
        return self.entry.definition.key is not None

    @property
    def undoes(self) -> bool:
        """Whether the server takes back what was not committed, and keeps what was."""
        definition = self.entry.definition
        return engines.transactional(definition.engine) and not definition.sequence

    @property
    def lasting(self) -> bool:
        """Whether a row group once proven stays proven; else the table is, as a whole, at last."""
        return self.keyed and self.undoes

    @property
    def parts(self) -> tuple[tuple[Chunk, int], ...]:
        """The row groups to load, each by its chunk and its number in it."""
        return tuple(
            (chunk, group)
            for chunk in self.chunks
            for group in range(len(chunk.row_groups))
            if self.sample is None or (chunk.index, group) in self.sample
        )

    @property
    def cost(self) -> float:
        """All its steps, in bytes of rows."""
        if self.lane is not None:
            weight = PROVE_COST + COUNT_COST * len(self.index_names) + PLACED_COST
            return FIXED_COST_BYTES + self.placing_cost + self.entry.wire_bytes * weight
        weight = 1.0 + INDEX_COST * len(self.indexes) + FINAL_COST
        return FIXED_COST_BYTES + self.entry.wire_bytes * weight

    @property
    def lane_name(self) -> str:
        """As the option names it."""
        return "tablespace" if self.lane else "logical"

    @property
    def placing_cost(self) -> float:
        """What its tablespace costs until the server has it."""
        return PLACE_COST * self.lane.size_bytes if self.lane else 0.0


@dataclass(frozen=True)
class CreateStaging:
    """Create the staging table."""

    job: TableJob


@dataclass(frozen=True)
class LoadGroup:
    """Load one row group in one transaction and prove it, unless that comes `late`.

    `found` when an earlier try may have been committed; then it is proven in any case, and comes
    back without `late`.
    """

    job: TableJob
    chunk: Chunk
    group: int
    found: bool = False
    late: bool = False

    @property
    def row_group(self) -> RowGroup:
        return self.chunk.row_groups[self.group]


@dataclass(frozen=True)
class Room:
    """A staging table without its file, as the server has made it: what a tablespace goes into."""

    space_id: int
    owner: Owner
    behind: int  # bytes of redo log, which a checkpoint has to pass (lane_checkpoint.py)
    server: ServerInfo  # after another start of it room is made anew


@dataclass(frozen=True)
class MakeRoom:
    """Make the staging table and discard its file; done when there is a `room`."""

    job: TableJob
    room: Room | None = None


@dataclass(frozen=True)
class PlaceTable:
    """Let the server take the tablespace in as the rows of the staging table."""

    job: TableJob
    room: Room | None = None  # None: it is made first, once more


@dataclass(frozen=True)
class Written:
    """What a PlaceTable comes to on its way: the server has now to take in what was written."""

    job: TableJob


@dataclass(frozen=True)
class ProveGroup:
    """Prove one row group whose rows are there: of a tablespace, or loaded before."""

    job: TableJob
    chunk: Chunk
    group: int

    @property
    def row_group(self) -> RowGroup:
        return self.chunk.row_groups[self.group]


@dataclass(frozen=True)
class LaneLost:
    """What a task of a tablespace comes to when it fails: the table begins anew by its rows."""

    job: TableJob
    why: str


@dataclass(frozen=True)
class BuildIndex:
    """Build one index of a table whose rows are complete."""

    job: TableJob
    number: int


@dataclass(frozen=True)
class ProveRows:
    """What is proven beside other steps: rows by the index of that number, once it is there.

    Without a number the whole digest, of a table without a key.  `digests_keys`: the digest of
    all keys as well, if the index has them; it comes back with the task.
    """

    job: TableJob
    number: int | None = None
    digests_keys: bool = False
    keys: KeyDigest | None = None


@dataclass(frozen=True)
class LookAtLive:
    """Take the digest of the live table's keys while a core is idle; comes back with it."""

    job: TableJob
    keys: LiveKeys | None = None


@dataclass(frozen=True)
class ProveTable:
    """The final proof: rows by every index that was there from the start, and the definition."""

    job: TableJob


Task = (
    CreateStaging
    | LoadGroup
    | BuildIndex
    | ProveRows
    | LookAtLive
    | ProveTable
    | MakeRoom
    | PlaceTable
    | Written
    | ProveGroup
    | LaneLost
)


def describe(task: Task) -> str:
    """What a task does, in a few words."""
    table = task.job.target
    match task:
        case CreateStaging():
            return f"creating the staging table of {table}"
        case MakeRoom():
            return f"making room for the tablespace of {table}"
        case PlaceTable():
            return f"taking in the tablespace of {table}"
        case Written():
            return f"having written the tablespace of {table}"
        case ProveGroup():
            return f"proving chunk {task.chunk.index}, row group {task.group} of {table}"
        case LaneLost():
            return f"giving up the tablespace of {table}"
        case LoadGroup():
            return f"loading chunk {task.chunk.index}, row group {task.group} of {table}"
        case BuildIndex(job, number):
            return f"building index {number + 1} of {len(job.indexes)} of {table}"
        case LookAtLive():
            return f"looking at the keys of {table} as it is"
        case ProveRows(job, number):
            if number is None:
                return f"proving all rows of {table}"
            return f"counting {table} by index {number + 1} of {len(job.index_names)}"
        case ProveTable():
            return f"proving {table}"


def again(task: Task) -> Task:
    """The task for another try: it may have been carried out before the connection was lost.

    Indexes and proofs look for themselves.
    """
    match task:
        case CreateStaging(job):
            return CreateStaging(dataclasses.replace(job, replace_staging=True))
        case MakeRoom(job):
            return MakeRoom(dataclasses.replace(job, replace_staging=True))
        case PlaceTable(job):
            return PlaceTable(dataclasses.replace(job, replace_staging=True))
        case LoadGroup():
            return dataclasses.replace(task, found=True)
        case _:
            return task
