"""One flipped byte anywhere is found and named; what is whole is said to be equal."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from quant_pipelines.feature_tables import feature_schema
from quant_pipelines.lake import FileDamaged, Window
from quant_pipelines.lake import files as lake_files
from quant_pipelines.snapshots import SnapshotDamaged, SnapshotStore, load
from quant_pipelines.snapshots.comparing import compare
from quant_pipelines.snapshots.verifying import Verifier
from tests.unit.snapshots.conftest import CUSTOM, WRITER, strategy

SCHEMA = feature_schema(CUSTOM)


def verify(scene, document):
    # As a process that begins: nothing is believed to have been looked at before.
    return Verifier(lake=scene.lake, store=SnapshotStore(scene.store.local), threads=2).verify(document.id)


def flip(path, at=None):
    content = bytearray(path.read_bytes())
    at = len(content) // 2 if at is None else at
    content[at] ^= 0x10
    path.write_bytes(bytes(content))


def restate(scene, place, symbol="600001.SH"):
    """The vendor corrects one bar, and the feature follows."""
    day = Window(scene.sessions[place], scene.sessions[place])
    table = scene.lake.table("tiny", SCHEMA)
    rows = table.read(day)
    values = pc.if_else(pc.equal(rows["symbol"], symbol), pa.scalar(7.5, pa.float32()), rows["level"])
    changed = rows.set_column(rows.column_names.index("level"), "level", values)
    table.replace(changed, window=day, writer=WRITER)


@pytest.mark.parametrize("kind", ["none", "robust"])
def test_a_whole_snapshot_is_equal(scene, kind):
    trained = scene.builder().build(strategy(normalisation={"kind": kind}), scene.sessions[-2]).document
    asked = scene.builder().infer(trained, scene.sessions[-1]).document
    assert verify(scene, trained) == []
    assert verify(scene, asked) == []


def test_a_snapshot_stays_equal_when_the_lake_moves_on(scene):
    """It is verified against the versions that it froze, whatever they are now, compacted or restated."""
    document = scene.builder().build(strategy(), scene.sessions[-1]).document
    restate(scene, 90)
    scene.lake.table("tiny", SCHEMA).compact()
    assert verify(scene, document) == []
    newer = scene.builder().build(strategy(), scene.sessions[-1]).document
    assert newer.id != document.id
    assert verify(scene, newer) == []


def test_one_flipped_byte_in_any_stored_file_is_found(scene):
    document = scene.builder().build(strategy(normalisation={"kind": "standard"}), scene.sessions[-1]).document
    random = np.random.default_rng(0)
    files = [path for folder in ("blobs", "documents") for path in (scene.store.local.root / folder).rglob("*")]
    whole = {path: path.read_bytes() for path in files if path.is_file()}
    assert {path.name for path in whole} == {*document.blobs, f"{document.id}.json"}
    for path, content in whole.items():
        for at in random.integers(0, len(content), 2).tolist():
            flip(path, at)
            assert verify(scene, document) != [], (path, at)
        path.write_bytes(content)
    assert verify(scene, document) == []


def test_one_flipped_byte_of_the_lake_is_named_with_its_session_and_ids(scene):
    document = scene.builder().build(strategy(), scene.sessions[-1]).document
    before = scene.lake.table("tiny", SCHEMA).session_ids()
    month = f"{scene.sessions[100]:%Y-%m}"
    (path,) = (scene.folder / "lake" / "tiny" / SCHEMA.name / f"period={month}").glob("*.parquet")
    flip(path)
    found = verify(scene, document)
    sessions = [each for each in scene.sessions if f"{each:%Y-%m}" == month]
    assert [each.session for each in found] == sessions
    assert {each.where for each in found} == {f"table tiny/{SCHEMA.name}"}
    assert all("a damaged file" in each.found and path.name in each.found for each in found)
    assert [each.expected for each in found] == [before[each] for each in sessions]


def test_a_lake_that_holds_something_else_under_the_frozen_version_is_named(scene, tmp_path):
    """Somebody wrote the history anew: same versions, other content."""
    document = scene.builder().build(strategy(), scene.sessions[-1]).document
    other = type(scene)(tmp_path / "other", seed=99).publish()
    found = Verifier(lake=other.lake, store=scene.store).verify(document.id)
    tables = {each.where for each in found}
    assert tables == {"table tiny/alpha158", f"table tiny/{SCHEMA.name}", "table tiny/labels"}
    named = next(each for each in found if each.where == f"table tiny/{SCHEMA.name}")
    ids = other.lake.table("tiny", SCHEMA).session_ids()
    assert named.found == ids[named.session]
    assert str(named).startswith(f"table tiny/{SCHEMA.name} in {named.session:%Y-%m-%d}: expected ")


def test_damaged_arrays_are_not_loaded(scene):
    document = scene.builder().build(strategy(), scene.sessions[-1]).document
    block = document.outcome.array("block").blob
    flip(scene.store.blob(block))
    with pytest.raises(SnapshotDamaged, match=f"expected the content {block[:16]}") as refusal:
        load(scene.store, document)
    assert refusal.value.code == "QP540"


def test_nothing_is_built_from_a_table_of_which_one_byte_differs(scene):
    """Whatever is looked up at a glance before, every byte is compared before rows are frozen."""
    everything = strategy(training={"window": {"sessions": len(scene.sessions)}})
    files = sorted(Path(scene.lake.table("tiny", SCHEMA)._log.store.url).glob("period=*/*.parquet"))
    for path in files:
        content = path.read_bytes()
        for at in range(4, len(content), max(1, len(content) // 5)):
            flip(path, at)
            lake_files._verified.clear()
            with pytest.raises(FileDamaged, match=path.name):
                scene.builder().build(everything, scene.sessions[-1])
            path.write_bytes(content)
    assert scene.builder().build(everything, scene.sessions[-1]).made


def test_a_damaged_snapshot_is_built_again(scene):
    document = scene.builder().build(strategy(), scene.sessions[-1]).document
    flip(scene.store.local.root / "documents" / f"{document.id}.json")
    with pytest.raises(SnapshotDamaged):
        scene.store.document(document.id)
    (scene.store.local.root / "documents" / f"{document.id}.json").unlink()
    assert scene.builder().build(strategy(), scene.sessions[-1]).document.id == document.id
    assert verify(scene, document) == []


def test_a_difference_is_told_from_its_cause_to_what_came_of_it(scene):
    old = scene.builder().build(strategy(), scene.sessions[-1]).document
    restate(scene, 90)
    new = scene.builder().build(strategy(label_set="dual"), scene.sessions[-1]).document
    told = {each.what: each for each in compare(old, new, scene.store)}
    assert told["configuration.label_set"].new == "dual"
    assert told[f"{SCHEMA.name}: sessions with other content"].new == "1"
    assert f"{SCHEMA.name} in {scene.sessions[90]:%Y-%m-%d}" in told
    assert "array block" in told
    assert "feature KMID" not in told
    assert compare(old, old, scene.store) == []
