"""What every model store promises, on each database."""

import shutil

import numpy as np
import pytest

from quant_pipelines.models import Task
from quant_pipelines.registry import CHAMPION, State, compatible
from quant_pipelines.registry.failures import (
    HashMismatch,
    IllegalTransition,
    RetentionRefused,
    TagRefused,
    UnknownVersion,
    VersionSwapped,
)
from tests.learnable import COLUMNS, halves, planted
from tests.stored import MODEL, Kept, fitted, manifest, packed

_, ROWS = halves(planted(Task()))


@pytest.mark.parametrize("kind", ["linear", "lightgbm", "xgboost"])
def test_what_was_saved_predicts_the_same_to_the_bit(kept_in_file, kind):
    package = packed(kind)
    version = kept_in_file.models.save(package, kept_in_file.run(), actor="a test")
    loaded = kept_in_file.models.load(MODEL, version.number)
    assert loaded == package
    np.testing.assert_array_equal(loaded.model().predict(ROWS.inputs), package.model().predict(ROWS.inputs))


def test_a_version_says_what_it_is(kept):
    run = kept.run()
    version = kept.models.save(packed(), run, actor="me")
    assert (version.model, version.number, version.run_id) == (MODEL, 1, run)
    assert version.id == packed().manifest.digest
    assert version.training_id == "training-1"
    assert [step.state for step in version.history] == [State.CREATED, State.TRAINING]
    assert {step.actor for step in version.history} == {"me"}
    assert kept.models.versions(MODEL) == [version]
    assert kept.models.models() == [MODEL]


def test_the_same_training_is_stored_once(kept):
    """S2-53: also from another run, and with other words around the same training."""
    first = kept.save("one")
    again = kept.save("one", metrics={"validation_mse": 0.25})
    other = kept.save("two")
    assert again == first
    assert other.number == 2
    assert [each.number for each in kept.models.versions(MODEL)] == [1, 2]
    assert len(kept.files("manifest.json")) == 2


def test_an_alias_means_one_version_at_a_time(kept_in_file):
    for training in ("one", "two"):
        kept_in_file.save(training)
    kept_in_file.models.alias(MODEL, CHAMPION, 1)
    assert kept_in_file.models.load(MODEL, CHAMPION).manifest.training_id == "one"
    kept_in_file.models.alias(MODEL, CHAMPION, 2)
    assert kept_in_file.models.version(MODEL, CHAMPION).number == 2
    assert kept_in_file.models.version(MODEL, 1).aliases == ()
    kept_in_file.models.alias(MODEL, CHAMPION, None)
    with pytest.raises(UnknownVersion, match="no version 'champion'"):
        kept_in_file.models.version(MODEL, CHAMPION)


def test_what_is_not_there_is_named(kept_in_file):
    kept_in_file.save()
    with pytest.raises(UnknownVersion, match=r"no version 7\. It has 1"):
        kept_in_file.models.load(MODEL, 7)
    with pytest.raises(UnknownVersion, match="It has none"):
        kept_in_file.models.load("demo.nobody", 1)
    with pytest.raises(UnknownVersion):
        kept_in_file.models.alias(MODEL, CHAMPION, 7)
    assert kept_in_file.models.versions("demo.nobody") == []


def test_versions_are_found_by_words_and_tags(kept):
    for training in ("one", "two"):
        kept.save(training)
    kept.models.set_tag(MODEL, 2, "reviewed", "Yes")
    kept.models.set_tag(MODEL, 2, "reviewed", "by Ann")
    kept.models.alias(MODEL, CHAMPION, 1)

    def numbers(*arguments):
        return [each.number for each in kept.models.search(*arguments)]

    assert numbers() == [1, 2]
    assert numbers("TWO") == [2]
    assert numbers("champ") == [1]
    assert numbers("by ann") == [2]
    assert numbers("", {"reviewed": "by Ann"}) == [2]
    assert numbers("", {"reviewed": "Yes"}) == []
    assert numbers("nothing like it") == []
    assert kept.models.version(MODEL, 2).tags == {"reviewed": "by Ann"}


@pytest.mark.parametrize("name", ["qp.id", "mlflow.user", ""])
def test_our_own_tags_cannot_be_written_over(kept_in_file, name):
    kept_in_file.save()
    with pytest.raises(TagRefused, match="cannot be called"):
        kept_in_file.models.set_tag(MODEL, 1, name, "x")


def test_a_life_is_kept_step_by_step(kept):
    """X-12, S2-52: who, when, why."""
    kept.save()
    kept.models.move(MODEL, 1, State.VALIDATED, actor="judge", reason="IC 0.04")
    with pytest.raises(IllegalTransition, match=r"validated cannot become deployed\. It can become ready, failed"):
        kept.models.move(MODEL, 1, State.DEPLOYED, actor="me")
    moved = kept.models.move(MODEL, 1, State.READY, actor="me")
    assert moved.state == State.READY
    assert [step.state for step in moved.history] == ["created", "training", "validated", "ready"]
    assert moved.history[2].reason == "IC 0.04"
    assert moved.history == kept.models.version(MODEL, 1).history
    assert [step.at for step in moved.history] == sorted(step.at for step in moved.history)


def test_old_versions_go_with_their_files_and_the_newest_stay(kept):
    """X-17."""
    for number in range(1, 6):
        kept.save(f"training-{number}")
        kept.models.move(MODEL, number, State.REJECTED, actor="judge")
    kept.models.alias(MODEL, "kept", 1)
    gone = kept.models.trim(MODEL, keep=2, cited={"training-2"})
    assert [each.number for each in gone] == [3]
    assert [each.number for each in kept.models.versions(MODEL)] == [1, 2, 4, 5]
    assert len(kept.files("manifest.json")) == 4
    for version in kept.models.versions(MODEL):
        kept.models.load(MODEL, version.number)
    assert kept.models.trim(MODEL, keep=2, cited={"training-2"}) == []
    assert kept.save("training-3").number == 6, "a number is never used twice"


def test_one_version_is_too_few_to_keep(kept_in_file):
    kept_in_file.save()
    with pytest.raises(RetentionRefused, match="nothing to roll back to"):
        kept_in_file.models.trim(MODEL, keep=1)


def test_a_damaged_version_is_refused_and_can_be_trained_again(kept):
    kept.save("one")
    (path,) = kept.files("coefficients.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(HashMismatch, match="not what was signed for"):
        kept.models.load(MODEL, 1)
    again = kept.save("one", metrics={"validation_mse": 0.25})
    assert again.number == 2
    assert kept.models.load(MODEL, 2).files == fitted("linear")
    assert kept.models.version(MODEL, 1).tags == {"qp.damaged": "QP553"}
    assert kept.save("one") == again


def test_a_version_in_another_ones_place_is_refused(kept_in_file):
    """Both are rightly signed; an old model put in a new one's place would be a rollback that nobody decided."""
    for training in ("old", "new"):
        kept_in_file.save(training)
    old, new = (
        path.parent for path in sorted(kept_in_file.files("manifest.json"), key=lambda path: path.stat().st_mtime_ns)
    )
    shutil.rmtree(new)
    shutil.copytree(old, new)
    with pytest.raises(VersionSwapped, match="somebody put it in another one's place"):
        kept_in_file.models.load(MODEL, 2)
    kept_in_file.models.load(MODEL, 1)


def test_what_stock_mlflow_would_run_is_checked_too(kept_in_file):
    kept_in_file.save()
    (path,) = kept_in_file.files("MLmodel")
    path.write_text(path.read_text().replace("quant_pipelines.registry.flavour", "evil"))
    with pytest.raises(HashMismatch, match="stock MLflow"):
        kept_in_file.models.load(MODEL, 1)


def test_artifacts_of_an_experiment_that_the_server_made_lie_where_ours_do(kept_in_file):
    """Somebody may have made the market's experiment in MLflow's own pages."""
    from mlflow import MlflowClient

    uri = kept_in_file.place.uri
    MlflowClient(uri, uri).create_experiment("demo", artifact_location="mlflow-artifacts:/7")
    kept_in_file.save()
    (path,) = kept_in_file.files("manifest.json")
    assert "/artifacts/7/" in str(path)
    kept_in_file.models.load(MODEL, 1)


def test_a_model_says_what_keeps_it_from_reading_data():
    """S2-52."""
    told = compatible(
        manifest(feature_versions={"strong": "2", "weak": "1"}),
        columns=("weak", "strong", "noise_a", "extra"),
        feature_versions={"strong": "3", "weak": "1"},
        length=20,
        label_set="dual",
    )
    assert told == [
        "the data lacks noise_b",
        "the model does not know extra",
        "strong is version 3 in the data, the model learned version 2",
        "the data has 20 sessions a row, the model sees 1",
        "the data has label set dual, the model learned qlib_return",
    ]
    assert compatible(manifest(), columns=COLUMNS, feature_versions=dict.fromkeys(COLUMNS, "1")) == []
    turned = compatible(manifest(), columns=COLUMNS[::-1], feature_versions={})
    assert turned == ["the columns stand in another order"]


def test_two_stores_of_one_place_see_each_other(kept_in_file):
    other = Kept(kept_in_file.place)
    version = kept_in_file.save()
    assert other.models.version(MODEL, 1) == version
    assert other.save() == version
