"""A manifest changed by one who knows how it is checked (docs/FORMAT.md, Checksum)."""

from __future__ import annotations

import hashlib
import json


def signed(text: str) -> str:
    """The manifest `text` with the checksum that fits its content."""
    content = json.loads(text)
    content.pop("checksum")
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    content["checksum"] = hashlib.sha256(canonical.encode("ascii")).hexdigest()
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
