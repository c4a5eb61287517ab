"""Files that have several names, as an incremental snapshot gives to those that it takes over."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def own_bytes(names: Iterable[Path]) -> int:
    """Bytes of the files of these names that have no other name: free when these go."""
    seen: Counter[tuple[int, int]] = Counter()
    found: dict[tuple[int, int], os.stat_result] = {}
    for name in names:
        with suppress(FileNotFoundError):
            one = name.lstat()
            seen[one.st_dev, one.st_ino] += 1
            found[one.st_dev, one.st_ino] = one
    return sum(one.st_size for at, one in found.items() if one.st_nlink <= seen[at])


def folders_with(file: Path, folders: Iterable[Path]) -> list[Path]:
    """Those of `folders` that hold a name of the very same file; none for one that is not there."""
    try:
        one = file.lstat()
    except FileNotFoundError:
        return []
    if one.st_nlink == 1:
        return []
    at = (one.st_dev, one.st_ino)
    return [folder for folder in folders if at in _inodes(folder)]


def _inodes(folder: Path) -> set[tuple[int, int]]:
    try:
        found = [path.lstat() for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):  # another's, or removed a moment ago
        return set()
    return {(one.st_dev, one.st_ino) for one in found}
