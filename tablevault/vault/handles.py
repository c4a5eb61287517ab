"""What a store hands out: files being written, and locks."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self


class StagedFile(Protocol):
    """A file being written: invisible until `commit`, gone after `discard`."""

    @property
    def size_bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def closed(self) -> bool: ...
    def write(self, data: bytes | memoryview) -> int: ...
    def tell(self) -> int: ...
    def flush(self) -> None: ...
    def commit(self) -> None: ...
    def discard(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Scratch(Protocol):
    """A file of this machine that is no part of the vault, for bytes on their way into it."""

    def open(self) -> int: ...
    def discard(self) -> None: ...


class Lock(Protocol):
    """A lock that ends with `release` or with the process, whichever comes first."""

    @property
    def descriptor(self) -> int | None:
        """What a child process is given to hold the lock too; None where there is nothing."""

    def release(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
