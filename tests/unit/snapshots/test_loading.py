"""What a trainer and a server are given: views of one block, and the same numbers for both (S1-92)."""

import numpy as np
import pytest

from quant_pipelines.features.custom import custom_set, expression
from quant_pipelines.features.registry import FeatureRefused, FeatureRegistry
from quant_pipelines.features.standard import alpha158_set
from quant_pipelines.lake import Window
from quant_pipelines.snapshots import load
from quant_pipelines.snapshots.parity import disparities
from quant_pipelines.snapshots.qlib import dataset_h
from tests.unit.snapshots.conftest import SINCE, WRITER, Scene, market, strategy

SEQUENTIAL = {"kind": "lstm", "hyperparameters": {"lookback": 12}}


@pytest.fixture(scope="module", params=["suspended", "gap"])
def sequential(request, tmp_path_factory):
    """A snapshot for a model that sees 12 sessions, scaled."""
    scene = Scene(tmp_path_factory.mktemp("sequential"), market(missing_bar=request.param)).publish()
    chosen = strategy(model=SEQUENTIAL, normalisation={"kind": "robust", "clip": 3, "missing": "centre"})
    return scene, scene.builder().build(chosen, scene.sessions[-5]).document


def test_arrays_are_mapped_and_cannot_be_written(sequential):
    arrays = load(sequential[0].store, sequential[1])
    assert isinstance(arrays.block, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        arrays.block[0, 0] = 1


def test_sequences_are_the_sessions_that_end_with_the_sample(sequential):
    arrays = load(sequential[0].store, sequential[1])
    found = arrays.sequences()
    assert np.shares_memory(found.windows, arrays.block)
    assert len(found) + found.short.size == arrays.samples.size
    for at in np.random.default_rng(2).integers(0, len(found), 50):
        row = arrays.samples[found.samples[at]]
        np.testing.assert_array_equal(found.batch([at])[0], arrays.block[row - 11 : row + 1])
        assert np.unique(arrays.symbol_of(np.arange(row - 11, row + 1))).size == 1
    owners = arrays.symbol_of(arrays.samples[found.short])
    assert np.all(arrays.samples[found.short] - 11 < arrays.offsets[owners])


def test_the_first_sessions_of_the_window_have_whole_sequences(sequential):
    """The sessions before the window are read for them, and are no samples themselves."""
    scene, document = sequential
    arrays = load(scene.store, document)
    assert arrays.session[arrays.samples].min() == 11
    assert arrays.axis[11].item() == document.recipe.window_first


def test_the_panel_is_the_samples_rows(sequential):
    arrays = load(sequential[0].store, sequential[1])
    np.testing.assert_array_equal(arrays.panel([3, 1]), arrays.block[arrays.samples[[3, 1]]])
    assert arrays.panel().flags.c_contiguous


def test_spans_fit_the_splitters(sequential):
    arrays = load(sequential[0].store, sequential[1])
    assert arrays.spans.rows == arrays.samples.size
    assert arrays.spans.gap_sessions == 1


def test_serving_is_given_what_training_was_given_bit_for_bit(sequential):
    """S1-92: every third session of the training, rows and sequences."""
    scene, document = sequential
    window = [each for each in document.recipe.axis if each >= document.recipe.window_first][::3]
    assert disparities(scene.builder(), document, window) == []


def test_a_disparity_would_be_found(scene):
    document = scene.builder().build(strategy(), scene.sessions[-1]).document
    block = document.outcome.array("block")
    changed = np.array(scene.store.array(block.blob))
    changed[-1, 2] += np.float32(1e-6)
    arrays = tuple(
        each.model_copy(update={"blob": scene.store.put_array(changed)}) if each.name == "block" else each
        for each in document.outcome.arrays
    )
    forged = document.model_copy(update={"outcome": document.outcome.model_copy(update={"arrays": arrays})})
    (found,) = disparities(scene.builder(), forged, scene.sessions[-3:])
    assert (found.session, found.symbol) == (scene.sessions[-1], "600005.SH")
    assert found.reason.startswith("pull_back was ")


def test_an_inference_uses_the_scale_of_its_training_and_has_an_id_of_its_own(sequential):
    """S1-34."""
    scene, trained = sequential
    asked = scene.builder().infer(trained, scene.sessions[-1]).document
    again = scene.builder().infer(trained, scene.sessions[-1])
    arrays = load(scene.store, asked)
    assert (again.document.id, again.made) == (asked.id, False)
    assert asked.id != scene.builder().infer(trained, scene.sessions[-2]).document.id
    assert asked.recipe.trained_on == trained.id
    assert asked.outcome.array("scale").blob == trained.outcome.array("scale").blob
    assert {arrays.axis[at].item() for at in arrays.session[arrays.samples]} == {scene.sessions[-1]}
    assert arrays.labels is None
    assert arrays.sequences().batch(slice(None)).shape[1:] == (12, 4)


def test_an_inference_reads_no_label_and_no_later_session(scene):
    trained = scene.builder().build(strategy(), scene.sessions[100]).document
    before = scene.builder().infer(trained, scene.sessions[120]).document
    later = Window(scene.sessions[121], scene.sessions[-1])
    for name in ("labels", "alpha158", "custom_features_1878aa54"):
        table = scene.lake.stored("tiny", name)
        window = scene.all if name == "labels" else later
        table.replace(table.schema.arrow.empty_table(), window=window, writer=WRITER)
    assert scene.builder().infer(trained, scene.sessions[120]).document.id == before.id


def test_a_feature_that_means_something_else_now_is_not_served(sequential):
    scene, trained = sequential
    other = custom_set(
        expression("pull_back", "$close / Max($high, 6) - 1", "Another window.", SINCE),
        expression("level", "$close", "Close.", SINCE),
    )
    with pytest.raises(FeatureRefused, match="pull_back"):
        scene.builder(registry=FeatureRegistry([alpha158_set(), other])).infer(trained, scene.sessions[-1])


def test_a_snapshot_is_a_qlib_dataset_on_demand(sequential):
    scene, document = sequential
    arrays = load(scene.store, document)
    dataset = dataset_h(arrays)
    frame = dataset.prepare("test", col_set=["feature", "label"])
    rows = arrays.samples[arrays.part("holdout")]
    np.testing.assert_array_equal(frame["feature"].to_numpy(), arrays.block[rows])
    np.testing.assert_array_equal(
        frame["label"]["LABEL0"].to_numpy(), arrays.labels.value[arrays.part("holdout")].astype(np.float32)
    )
    assert len(dataset.prepare("train")) == arrays.part("train").size
