"""Names made of content: the only hashing in the project."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def digest_bytes(*chunks: bytes | memoryview) -> str:
    """SHA-256 of the chunks, as hex."""
    return _digest(chunks)


def digest_json(value: Any) -> str:
    """SHA-256 of a JSON value; key order does not matter, NaN and infinities are refused."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return _digest([text.encode()])


def _digest(chunks: Iterable[bytes | memoryview]) -> str:
    running = hashlib.sha256()
    for chunk in chunks:
        running.update(chunk)
    return running.hexdigest()
