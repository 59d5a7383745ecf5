"""Content hashes, equal on every machine."""

import hashlib
import json
from typing import Any


def content_hash(content: Any) -> str:
    """SHA-256 over canonical JSON (sorted keys, no spaces, no NaN), in hex."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
