"""How much a verification is to check, and what it answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from tablevault.errors import UsageError
from tablevault.model import Finding
from tablevault.ops.options import DEFAULT_THREADS, VerifyResult
from tablevault.vault import verify as checks


@dataclass(frozen=True)
class Extent:
    """What to check of what there is, how deep, and how fast."""

    depth: str = checks.ROWS
    threads: int = DEFAULT_THREADS
    budget_s: float | None = None  # no chunk is begun after it
    subset: tuple[int, int] | None = None  # the first of so many equal parts of all chunks, from 1
    rate_bytes_s: float | None = None  # of files read, on average

    def require(self) -> None:
        """Raise UsageError for what cannot be."""
        if self.subset is not None and not 1 <= self.subset[0] <= self.subset[1]:
            number, parts = self.subset
            raise UsageError(f"there is no part {number} of {parts}", hint="write 1/7 to 7/7")
        if self.rate_bytes_s is not None and self.rate_bytes_s <= 0:
            raise UsageError("a rate limit must be above zero")

    def covers(self, snapshot: str, path: str) -> bool:
        """Whether a chunk belongs to the subset: by a hash of its name, always to the same."""
        if self.subset is None:
            return True
        number, parts = self.subset
        digest = hashlib.sha256(f"{snapshot}/{path}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % parts == number - 1


@dataclass(frozen=True)
class VaultVerifyResult:
    """What a verification of a whole vault saw: one result a snapshot, and what is of none."""

    run: str
    depth: str
    snapshots: tuple[VerifyResult, ...]
    seconds: float
    own_findings: tuple[Finding, ...] = field(default=())  # of no readable snapshot
    hints: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them."""
        return (*self.own_findings, *(one for each in self.snapshots for one in each.findings))
