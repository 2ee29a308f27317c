"""The header of a safetensors file, checked by ourselves before the library sees the file."""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from quant_pipelines.registry.failures import HeaderRefused

LENGTH_BYTES = 8
# The library allows 100 MB. A thousand tensors need about 100 kB.
HEADER_LIMIT = 10 * 1024 * 1024
_METADATA_LIMIT = 64 * 1024
_DIMENSIONS = 16
_SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
_FIELDS = {"dtype", "shape", "data_offsets"}


def require_honest(name: str, data: bytes) -> None:
    """Refuse a file whose header does not describe its bytes, every one and once."""
    tensors = _header(name, data)
    metadata = tensors.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        _refuse(name, "its metadata is no mapping of texts")
    if sum(len(key) + len(value) for key, value in metadata.items()) > _METADATA_LIMIT:
        _refuse(name, f"its metadata is longer than {_METADATA_LIMIT} characters")
    spans = sorted(_span(name, tensor, facts) for tensor, facts in tensors.items())
    place = 0
    for first, last in spans:
        if first != place:
            _refuse(name, f"its tensors leave a hole or overlap at byte {min(first, place)}")
        place = last
    present = len(data) - LENGTH_BYTES - int.from_bytes(data[:LENGTH_BYTES], "little")
    if place != present:
        _refuse(name, f"its header describes {place} bytes, but {present} follow it")


def _header(name: str, data: bytes) -> dict[str, Any]:
    if len(data) < LENGTH_BYTES:
        _refuse(name, f"it has {len(data)} bytes, too few for a header")
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    if length > min(HEADER_LIMIT, len(data) - LENGTH_BYTES):
        _refuse(name, f"its header claims {length} bytes of a file of {len(data)}, where {HEADER_LIMIT} are the most")
    try:
        found = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + length], object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise HeaderRefused(f"{name} is refused: its header is no JSON that says each thing once: {error}.") from error
    if not isinstance(found, dict):
        _refuse(name, "its header is no mapping")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _span(name: str, tensor: str, facts: object) -> tuple[int, int]:
    if not isinstance(facts, Mapping) or set(facts) != _FIELDS:
        _refuse(name, f"{tensor!r} is not described by {', '.join(sorted(_FIELDS))}")
    size, shape, offsets = _SIZES.get(str(facts["dtype"])), facts["shape"], facts["data_offsets"]
    if size is None:
        _refuse(name, f"{tensor!r} has dtype {facts['dtype']!r}")
    if not _are_counts(shape) or len(shape) > _DIMENSIONS:
        _refuse(name, f"{tensor!r} has no shape but {shape!r}")
    if not _are_counts(offsets) or len(offsets) != 2:  # noqa: PLR2004 - first and last
        _refuse(name, f"{tensor!r} has no place but {offsets!r}")
    if offsets[1] - offsets[0] != math.prod(shape) * size:
        _refuse(name, f"{tensor!r} has {offsets[1] - offsets[0]} bytes, its shape needs {math.prod(shape) * size}")
    return offsets[0], offsets[1]


def _are_counts(values: object) -> bool:
    return isinstance(values, list) and all(type(each) is int and each >= 0 for each in values)


def _refuse(name: str, found: str) -> NoReturn:
    raise HeaderRefused(f"{name} is refused: {found}. Restore the version from a backup, or train it again.")
