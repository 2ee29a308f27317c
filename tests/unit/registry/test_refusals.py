"""A corpus of files that are no models of ours. Every one is refused by its name, and none is ever executed."""

import bz2
import gzip
import io
import json
import os
import pickle  # noqa: TID251 - the attacker's, not ours: written here and never read
import struct
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quant_pipelines.registry import FileFacts, Key, Keys, Packed
from quant_pipelines.registry.failures import (
    ArchiveRefused,
    CannotPack,
    FilesDiffer,
    FormRefused,
    HashMismatch,
    HeaderRefused,
    ManifestRefused,
    PathEscape,
    PickleRefused,
    SignatureMismatch,
    TooLarge,
    VersionRefused,
)
from quant_pipelines.registry.package import MANIFEST, SIGNATURE, Limits, pack, read_folder, stored_form, verified
from tests.stored import KEYS, MODEL, fitted, manifest, packed

FILE = "coefficients.safetensors"
CANARY = Path(f"canary-{os.getpid()}")


class Payload:
    """What runs when somebody loads its pickle."""

    def __reduce__(self):
        return (os.open, (str(CANARY), os.O_CREAT))


@pytest.fixture(autouse=True)
def _nothing_ran(monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("canary")
    monkeypatch.chdir(folder)
    yield
    assert list(folder.iterdir()) == [], "a stored file was executed"


def signed(files: dict[str, bytes], **changed) -> dict[str, bytes]:
    """A version whose signature and hashes are right, whatever its files are: the worst case."""
    facts = {name: FileFacts(sha256=_sha(data), bytes=len(data)) for name, data in files.items()}
    told = manifest(**changed).model_copy(update={"files": facts})
    return stored_form(Packed(manifest=told, files=files), KEYS)


def _sha(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def safetensors(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(first: int, last: int, shape: list | None = None, dtype: str = "F64") -> dict:
    return {"dtype": dtype, "shape": [(last - first) // 8] if shape is None else shape, "data_offsets": [first, last]}


def zipped(data: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", data)
    return held.getvalue()


def tarred(data: bytes) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        member = tarfile.TarInfo("model")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return held.getvalue()


def numpy_object() -> bytes:
    held = io.BytesIO()
    np.save(held, np.array([Payload()], object), allow_pickle=True)
    return held.getvalue()


PICKLES = {f"protocol {number}": pickle.dumps(Payload(), protocol=number) for number in range(6)}
PICKLES["by hand"] = b"cos\nsystem\n(S'touch canary'\ntR."
PICKLES["in a list"] = b"(lp0\ncos\nsystem\n(S'touch canary'\ntR."
ARCHIVES = {
    "torch": zipped(PICKLES["protocol 2"]),
    "zip bomb": zipped(bytes(10_000_000)),
    "gzip": gzip.compress(PICKLES["protocol 2"]),
    "bzip2": bz2.compress(PICKLES["protocol 2"]),
    "tar": tarred(PICKLES["protocol 2"]),
    "numpy objects": numpy_object(),
}
ONE = json.dumps(tensor(0, 8)).encode()
TWICE = b'{"a":' + ONE + b',"a":' + ONE + b"}"
LYING = {
    "nothing": b"",
    "seven bytes": b"\x02\0\0\0\0\0\0",
    "header longer than the file": safetensors({"a": tensor(0, 8)}, bytes(8), length=1000),
    "header of exabytes": safetensors({"a": tensor(0, 8)}, bytes(8), length=2**63),
    "header beyond the limit": safetensors(b"{" + b" " * 10_500_000 + b"}"),
    "no JSON": safetensors(b"{nonsense}"),
    "deep JSON": safetensors(b'{"a":' + b"[" * 100_000),
    "no mapping": safetensors(b'{"a"'),
    "a tensor twice": safetensors(TWICE, bytes(8)),
    "an unknown dtype": safetensors({"a": tensor(0, 8, dtype="PICKLE")}, bytes(8)),
    "a dtype that is no text": safetensors({"a": {**tensor(0, 8), "dtype": ["F64"]}}, bytes(8)),
    "an unknown field": safetensors({"a": {**tensor(0, 8), "code": "import os"}}, bytes(8)),
    "no place": safetensors({"a": {"dtype": "F64", "shape": [1]}}, bytes(8)),
    "a place before the file": safetensors({"a": tensor(-8, 0, shape=[1])}, bytes(8)),
    "a place after the file": safetensors({"a": tensor(0, 16)}, bytes(8)),
    "a place that ends before it begins": safetensors({"a": tensor(8, 0, shape=[1])}, bytes(8)),
    "three places": safetensors({"a": {**tensor(0, 8), "data_offsets": [0, 8, 16]}}, bytes(8)),
    "a shape larger than its bytes": safetensors({"a": tensor(0, 8, shape=[2**62, 4])}, bytes(8)),
    "a negative shape": safetensors({"a": tensor(0, 8, shape=[-1, -1])}, bytes(8)),
    "a shape of fractions": safetensors({"a": tensor(0, 8, shape=[1.0])}, bytes(8)),
    "a shape of truths": safetensors({"a": tensor(0, 8, shape=[True])}, bytes(8)),
    "a hundred dimensions": safetensors({"a": tensor(0, 8, shape=[1] * 100)}, bytes(8)),
    "tensors that overlap": safetensors({"a": tensor(0, 8), "b": tensor(0, 8)}, bytes(8)),
    "a hole between tensors": safetensors({"a": tensor(0, 8), "b": tensor(16, 24)}, bytes(24)),
    "bytes that nobody describes": safetensors({"a": tensor(0, 8)}, bytes(8) + b"#!/bin/sh"),
    "metadata that is no text": safetensors({"__metadata__": {"a": 1}, "a": tensor(0, 8)}, bytes(8)),
    "metadata that is a list": safetensors({"__metadata__": ["a"], "a": tensor(0, 8)}, bytes(8)),
    "too much metadata": safetensors({"__metadata__": {"a": "x" * 100_000}, "a": tensor(0, 8)}, bytes(8)),
}  # fmt: skip


def test_the_control_loads():
    """Were everything refused, the tests below would prove nothing."""
    for kind in ("linear", "lightgbm", "xgboost"):
        assert verified(stored_form(packed(kind), KEYS), KEYS) == packed(kind)
    honest = safetensors({"__metadata__": {"format": "pt"}, "b": tensor(8, 24, [2]), "a": tensor(0, 8)}, bytes(24))
    assert verified(signed({FILE: honest}), KEYS).files == {FILE: honest}


@pytest.mark.parametrize("data", PICKLES.values(), ids=list(PICKLES))
@pytest.mark.parametrize("name", [FILE, "model.pkl", "data.json"])
def test_a_pickle_is_refused_though_it_is_signed(data, name):
    with pytest.raises(PickleRefused, match="is a pickle"):
        verified(signed({name: data}), KEYS)


@pytest.mark.parametrize(("kind", "name"), [("lightgbm", "booster.txt"), ("xgboost", "booster.json")])
@pytest.mark.parametrize("data", PICKLES.values(), ids=list(PICKLES))
def test_a_pickle_in_a_boosters_place_is_refused(kind, name, data):
    with pytest.raises(PickleRefused):
        verified(signed({name: data}, kind=kind), KEYS)


@pytest.mark.parametrize("data", ARCHIVES.values(), ids=list(ARCHIVES))
@pytest.mark.parametrize("name", [FILE, "model.zip", "model.pt"])
def test_an_archive_is_refused_though_it_is_signed(data, name):
    with pytest.raises(ArchiveRefused):
        verified(signed({name: data}), KEYS)


@pytest.mark.parametrize("data", LYING.values(), ids=list(LYING))
def test_a_header_that_lies_is_refused_though_it_is_signed(data):
    with pytest.raises(HeaderRefused, match=f"{FILE} is refused"):
        verified(signed({FILE: data}), KEYS)


@pytest.mark.parametrize(
    "name",
    [
        "../evil.json",
        "..",
        "/etc/passwd",
        "a/b.json",
        "a\\b.json",
        "nul\0.json",
        ".hidden",
        "",
        "x" * 101,
        "ä.json",
        "a\n",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_though_it_is_signed(name):
    with pytest.raises(PathEscape, match="no plain file name"):
        verified(signed({name: b"{}"}), KEYS)


@pytest.mark.parametrize(
    ("kind", "name", "data"),
    [
        ("lightgbm", FILE, fitted("linear")[FILE]),
        ("linear", "booster.txt", fitted("lightgbm")["booster.txt"]),
        ("xgboost", "booster.txt", fitted("lightgbm")["booster.txt"]),
        ("xgboost", "booster.json", b"{}"),
        ("xgboost", "booster.json", b'{"learner":' + b"[" * 100_000),
        ("lightgbm", "booster.txt", b"tree\nversion=v4\nand no more"),
        ("lightgbm", "booster.txt", b"import os"),
        ("linear", "model.py", b"import os"),
        ("linear", "no_ending", b"import os"),
        ("linear", "config.json", b"[]"),
        ("linear", "config.json", b'{"a": '),
        ("nobody_knows_it", "model.onnx", b"\x08\x07"),
    ],
)
def test_files_that_do_not_fit_the_kind_are_refused_though_they_are_signed(kind, name, data):
    told = {**manifest().model_dump(), "kind": kind}
    told["files"] = {name: FileFacts(sha256=_sha(data), bytes=len(data)).model_dump()}
    text = type(manifest()).model_validate(told).canonical()
    with pytest.raises(FormRefused):
        verified({name: data, MANIFEST: text, SIGNATURE: KEYS.sign(text)}, KEYS)


def test_changed_exchanged_and_cut_bytes_are_refused():
    stored = stored_form(packed(), KEYS)
    data = stored[FILE]
    for changed in (data[:-1], data + b"\0", data[:40] + b"\xff" + data[41:], bytes(len(data)), b""):
        with pytest.raises(HashMismatch, match="not what was signed for"):
            verified(stored | {FILE: changed}, KEYS)
    two = signed({"a.json": b'{"a": 1}', "b.json": b'{"b": 2}'})
    with pytest.raises(HashMismatch):
        verified(two | {"a.json": two["b.json"], "b.json": two["a.json"]}, KEYS)


def test_every_changed_byte_of_the_manifest_is_refused():
    stored = stored_form(packed(), KEYS)
    text = stored[MANIFEST]
    for place in range(0, len(text), 7):
        changed = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        with pytest.raises(SignatureMismatch, match="somebody changed it"):
            verified(stored | {MANIFEST: changed}, KEYS)


def test_a_signature_that_is_not_ours_is_refused():
    stored = stored_form(packed(), KEYS)
    other = stored_form(packed(training="another"), KEYS)
    with pytest.raises(SignatureMismatch, match="somebody changed it"):
        verified(stored | {SIGNATURE: other[SIGNATURE]}, KEYS)
    with pytest.raises(SignatureMismatch, match="signed by key"):
        verified(stored_form(packed(), Keys(Key(b"x" * 32))), KEYS)
    for broken in (b"", b"none", stored[SIGNATURE][:-2] + b"\n", stored[SIGNATURE].upper(), stored[SIGNATURE].strip()):
        with pytest.raises(SignatureMismatch, match="no signature of ours"):
            verified(stored | {SIGNATURE: broken}, KEYS)


def test_files_too_many_and_too_few_are_refused():
    stored = stored_form(packed(), KEYS)
    with pytest.raises(FilesDiffer, match=r"more\.json is not in its manifest"):
        verified(stored | {"more.json": b"{}"}, KEYS)
    with pytest.raises(PickleRefused):
        verified(stored | {"more.pkl": PICKLES["protocol 4"]}, KEYS)
    for name in stored:
        with pytest.raises(FilesDiffer):
            verified({key: data for key, data in stored.items() if key != name}, KEYS)
    with pytest.raises(FilesDiffer, match="no file at all"):
        verified(signed({}), KEYS)


@pytest.mark.parametrize(
    "text",
    [b"{}", b"[]", b"not json", b"[" * 100_000, b'{"format": 2}', packed().manifest.canonical() + b" "],
    ids=["empty", "a list", "no JSON", "deep", "another format", "not canonical"],
)
def test_a_signed_manifest_that_is_none_is_refused(text):
    with pytest.raises(ManifestRefused):
        verified({MANIFEST: text, SIGNATURE: KEYS.sign(text), FILE: fitted("linear")[FILE]}, KEYS)


def test_more_bytes_than_a_model_may_have_are_refused():
    stored = stored_form(packed(), KEYS)
    for limits in (Limits(file_bytes=100), Limits(total_bytes=100), Limits(manifest_bytes=100)):
        with pytest.raises(TooLarge, match="are the most"):
            verified(stored, KEYS, limits=limits)
    with pytest.raises(TooLarge):
        verified(stored | {SIGNATURE: stored[SIGNATURE] * 2}, KEYS)


def written(folder: Path) -> Path:
    for name, data in stored_form(packed(), KEYS).items():
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_is_read_as_it_was_written(tmp_path):
    assert verified(read_folder(written(tmp_path)), KEYS) == packed()


def test_nothing_is_read_through_links_or_pipes(tmp_path):
    folder = written(tmp_path)
    elsewhere = tmp_path.with_name(f"{tmp_path.name}-elsewhere")
    elsewhere.write_bytes((folder / FILE).read_bytes())
    (folder / FILE).unlink()
    (folder / FILE).symlink_to(elsewhere)
    with pytest.raises(PathEscape, match="no plain file"):
        read_folder(folder)
    (folder / FILE).unlink()
    os.mkfifo(folder / FILE)
    with pytest.raises(PathEscape, match="no plain file"):
        read_folder(folder)
    (folder / FILE).unlink()
    (folder / FILE).mkdir()
    with pytest.raises(PathEscape, match="no plain file"):
        read_folder(folder)
    link = tmp_path.with_name(f"{tmp_path.name}-link")
    link.symlink_to(folder)
    with pytest.raises(FilesDiffer, match="no folder of a version"):
        read_folder(link)


def test_a_folder_that_is_too_large_is_not_read(tmp_path):
    folder = written(tmp_path)
    with (folder / "huge.json").open("wb") as file:
        file.truncate(3 * 1024**3)  # a hole: it takes no room, and would take all memory
    with pytest.raises(TooLarge):
        read_folder(folder)
    (folder / "huge.json").unlink()
    for number in range(100):
        (folder / f"{number}.json").write_bytes(b"{}")
    with pytest.raises(TooLarge, match="103 files"):
        read_folder(folder)


def test_what_could_not_be_loaded_is_not_stored_either():
    for files in ({FILE: PICKLES["protocol 4"]}, {}, {"../x.json": b"{}"}, {FILE: LYING["no JSON"]}, {MANIFEST: b"{}"}):
        with pytest.raises(CannotPack):
            pack(manifest(), files)


def test_every_refusal_is_one_of_damaged_stores_with_a_code_of_its_own():
    pending, codes = [VersionRefused], []
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        codes.append(kind.code)
    assert len(codes) == len(set(codes))
    assert all(code.startswith("QP5") for code in codes)


def test_a_model_is_made_of_what_its_manifest_says():
    assert packed("lightgbm").model().settings.columns == manifest().columns
    assert replace(packed()).manifest.model == MODEL
