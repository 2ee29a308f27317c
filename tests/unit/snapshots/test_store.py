"""Blobs are named by content, fetched where they are elsewhere, and never trusted by their name alone."""

import os
import resource
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import FileAnchor, Journal, sqlite_url
from quant_pipelines.lake import StorageFull
from quant_pipelines.lake.storage import LocalStore
from quant_pipelines.lineage import Lineage
from quant_pipelines.snapshots import SnapshotDamaged, SnapshotStore, UnknownSnapshot, load
from quant_pipelines.snapshots.drafts import Draft
from quant_pipelines.snapshots.retention import Retention
from quant_pipelines.snapshots.store import PART_BYTES, blob_id
from tests.unit.snapshots.conftest import CLOCK, strategy


@given(
    arrays_of.arrays(
        dtype=st.sampled_from(["<f4", "<i8", "|b1", "<M8[us]", "<U3"]),
        shape=arrays_of.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=4),
    )
)
def test_what_is_put_is_what_is_mapped(tmp_path_factory, array):
    store = SnapshotStore(LocalStore(tmp_path_factory.mktemp("store")))
    found = store.array(store.put_array(array))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_the_name_does_not_depend_on_threads_and_sees_every_part():
    content = np.zeros(2 * PART_BYTES + 5, np.uint8)
    whole = blob_id(content.data, 1)
    assert blob_id(content.data, 3) == whole
    for at in (0, PART_BYTES, content.size - 1):
        content[at] = 1
        assert blob_id(content.data, 2) != whole
        content[at] = 0
    assert blob_id(content[:-1].data) != whole


def test_another_machine_fetches_what_it_has_not(scene, tmp_path):
    """Where the lake is an object store, snapshots are there too."""
    shared = LocalStore(tmp_path / "shared")
    here, there = (SnapshotStore(LocalStore(tmp_path / name), shared) for name in ("here", "there"))
    built = scene.builder(store=here).build(strategy(), scene.sessions[-1])
    fetched = there.document(built.document.id)
    np.testing.assert_array_equal(load(there, fetched).block, load(here, built.document).block)
    assert not scene.builder(store=there).build(strategy(), scene.sessions[-1]).made


def test_a_damaged_copy_elsewhere_is_not_used(scene, tmp_path):
    shared = LocalStore(tmp_path / "shared")
    here, there = (SnapshotStore(LocalStore(tmp_path / name), shared) for name in ("here", "there"))
    document = scene.builder(store=here).build(strategy(), scene.sessions[-1]).document
    block = document.outcome.array("block").blob
    path = shared.root / "blobs" / block[:2] / block
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(SnapshotDamaged):
        load(there, there.document(document.id))


def test_a_damaged_blob_is_written_again(tmp_path):
    store = SnapshotStore(LocalStore(tmp_path))
    name = store.put_array(np.arange(9))
    store.blob(name).write_bytes(b"rubbish")
    assert store.put_array(np.arange(9)) == name
    np.testing.assert_array_equal(SnapshotStore(LocalStore(tmp_path)).array(name), np.arange(9))


def test_ids_may_be_shortened_to_what_is_unique(scene):
    documents = [scene.builder().build(strategy(), each).document for each in scene.sessions[-2:]]
    assert scene.store.named(documents[0].id[:10]) == documents[0]
    for wrong in (documents[0].id[:3], "", "zzzzzzzz"):
        with pytest.raises(UnknownSnapshot):
            scene.store.named(wrong)


def test_a_file_that_no_document_names_goes_once_it_is_old(scene):
    """A build that is under way has written its arrays, but not yet its document."""
    url = sqlite_url(scene.folder / "journal.db")
    retention = Retention(
        store=scene.store, lineage=Lineage(url, clock=CLOCK), clock=SystemClock(),
        journal=Journal(url, FileAnchor(scene.folder / "anchor"), clock=CLOCK),
    )  # fmt: skip
    name = scene.store.put_array(np.arange(3))
    assert name not in retention.plan().blobs
    old = (SystemClock().now() - timedelta(days=2)).timestamp()
    os.utime(scene.store.blob(name), (old, old))
    assert retention.plan().blobs == {name: scene.store.blob(name).stat().st_size}


def files_in(store):
    return [path for path in store.local.root.rglob("*") if path.is_file()]


def interrupted(store):
    with store.drafting() as stage:
        Draft.of(np.arange(5), stage)
        raise KeyboardInterrupt


def test_a_draft_is_the_file_that_it_becomes_and_is_gone_where_nobody_put_it(tmp_path):
    store = SnapshotStore(LocalStore(tmp_path))
    with store.drafting() as stage:
        draft, forgotten = (Draft.empty(np.dtype(np.float32), (1000, 3), stage) for _ in range(2))
        draft.array[...] = 7
        name = store.put_draft(draft)
    assert files_in(store) == [store.blob(name)]
    np.testing.assert_array_equal(store.array(name), np.full((1000, 3), 7, np.float32))
    with pytest.raises(KeyboardInterrupt):
        interrupted(store)
    assert files_in(store) == [store.blob(name)]
    assert forgotten.array.sum() == 0, "who still looks at one that is gone sees no fault"


def test_a_draft_in_memory_cannot_be_put(tmp_path):
    with pytest.raises(ValueError, match="stage of `drafting`"):
        SnapshotStore(LocalStore(tmp_path)).put_draft(Draft.of(np.arange(5)))


def test_no_room_for_a_draft_is_a_named_error_before_anything_is_filled(tmp_path):
    """S2-108. A file that was only promised its room would end the process."""
    store = SnapshotStore(LocalStore(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StorageFull), store.drafting() as stage:
            Draft.empty(np.dtype(np.float32), (1_000_000,), stage)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files_in(store) == []


def test_what_a_killed_build_left_goes_once_it_is_old(scene):
    url = sqlite_url(scene.folder / "journal.db")
    retention = Retention(
        store=scene.store, lineage=Lineage(url, clock=CLOCK), clock=SystemClock(),
        journal=Journal(url, FileAnchor(scene.folder / "anchor"), clock=CLOCK),
    )  # fmt: skip
    left = scene.store.local.stage("blobs/_s", 1000)
    assert retention.plan().blobs == {}
    old = (SystemClock().now() - timedelta(days=2)).timestamp()
    os.utime(left, (old, old))
    plan = retention.plan()
    assert plan.blobs == {left.name: 1000}
    retention.run(plan.id, actor="a test", tell=lambda _: None)
    assert not left.exists()
