"""The forms that a model's files may have, by kind. Whatever else a file is, it is refused unread."""

import json
import re
from collections.abc import Callable, Mapping

from quant_pipelines.registry import safetensors_header
from quant_pipelines.registry.failures import ArchiveRefused, FormRefused, PickleRefused

Check = Callable[[str, bytes], None]

_REMEDY = "Restore the version from a backup, or train it again."
# The library's own check comes after: it would be told about tensors by a header that we have read.
_BRACE = b"{"
_TREES = (b"tree\nversion=", b"\nend of trees\n")
_ARCHIVES = {
    b"PK\x03\x04": "a zip archive (torch, skops and numpy write such)",
    b"PK\x05\x06": "an empty zip archive",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"\x04\x22\x4d\x18": "lz4",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"\x93NUMPY": "a numpy file, which may hold pickles",
    b"\x89HDF": "HDF5",
    b"x\x01": "zlib",
    b"x\x9c": "zlib (joblib writes such)",
    b"x\xda": "zlib",
}
_TAR_MARK, _TAR_AT = b"ustar", 257
# Protocols 2 to 5 begin so; older ones are text that soon names what is to be called.
_BINARY_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_TEXT_PICKLE = re.compile(rb"[()\[\]}{lpdt0-9\n]{0,32}[ci][A-Za-z_][\w.]*\r?\n[A-Za-z_][\w.]*\r?\n")


def require_safetensors(name: str, data: bytes) -> None:
    # A header's length may look like a pickle's first two bytes; no pickle goes on with six zeros and a brace.
    if data[safetensors_header.LENGTH_BYTES :][:1] != _BRACE:
        refuse_foreign(name, data)
    safetensors_header.require_honest(name, data)


def require_lightgbm_text(name: str, data: bytes) -> None:
    begin, end = _TREES
    if not data.startswith(begin) or end not in data or b"\x00" in data:
        refuse_foreign(name, data)
        raise FormRefused(f"{name} is no LightGBM model in text. {_REMEDY}")


def require_json(name: str, data: bytes) -> None:
    if not data.startswith(_BRACE):
        refuse_foreign(name, data)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormRefused(f"{name} is no JSON: {str(error)[:200]}. {_REMEDY}") from error
    if not isinstance(found, dict):
        raise FormRefused(f"{name} is JSON, but no mapping. {_REMEDY}")


def require_xgboost_json(name: str, data: bytes) -> None:
    require_json(name, data)
    if b'"learner"' not in data:
        raise FormRefused(f"{name} is no XGBoost model in JSON. {_REMEDY}")


# By the ending of a file's name. Nets have their weights, and may have a description of what is in them.
_NETS: Mapping[str, Check] = {".safetensors": require_safetensors, ".json": require_json}
_FORMS: Mapping[str, Mapping[str, Check]] = {
    "lightgbm": {".txt": require_lightgbm_text},
    "xgboost": {".json": require_xgboost_json},
}


def require_form(kind: str, name: str, data: bytes) -> None:
    """Refuse a file that is not what this kind of model is kept in."""
    forms = _FORMS.get(kind, _NETS)
    ending = name[name.rfind(".") :] if "." in name else ""
    if ending not in forms:
        refuse_foreign(name, data)
        raise FormRefused(f"A {kind} has files {', '.join(f'*{each}' for each in forms)}, not {name}. {_REMEDY}")
    forms[ending](name, data)


def refuse_foreign(name: str, data: bytes) -> None:
    """Name what a file is that should not be there: a pickle, or something that may hold one."""
    if _BINARY_PICKLE.match(data) or _TEXT_PICKLE.match(data):
        raise PickleRefused(
            f"{name} is a pickle. Loading one runs whatever its writer wanted, so none is loaded, signed or not. "
            "Train the model here, or have it sent in its native form."
        )
    for mark, what in _ARCHIVES.items():
        if data.startswith(mark):
            raise ArchiveRefused(f"{name} is {what}; models are kept in their native form, unpacked. {_REMEDY}")
    if data[_TAR_AT : _TAR_AT + len(_TAR_MARK)] == _TAR_MARK:
        raise ArchiveRefused(f"{name} is a tar archive; models are kept in their native form, unpacked. {_REMEDY}")
