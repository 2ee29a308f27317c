"""What a stored version says of sessions, asked as serving asks it."""

import numpy as np
import pytest

from quant_pipelines.features.registry import FeatureRegistry
from quant_pipelines.features.standard import alpha158_set
from quant_pipelines.models import ONE_THREAD
from quant_pipelines.registry.failures import UnknownVersion
from quant_pipelines.serving import NothingToForecast, Predictor, inputs_of, stored_model
from quant_pipelines.snapshots import load
from quant_pipelines.training import order_for
from tests.homes import Home
from tests.stored import migrated
from tests.unit.snapshots.conftest import Scene, strategy

QUICK = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 6, "num_leaves": 4}}
SEQUENTIAL = {"kind": "lstm", "hyperparameters": {"n_epochs": 1, "hidden_size": 4, "lookback": 5}}
SCALED = {"kind": "robust", "clip": 3, "missing": "centre"}


class Served:
    """A published market, and versions that were trained on it."""

    def __init__(self, folder, empty) -> None:
        self.scene = Scene(folder / "market", symbols=8).publish()
        self.home = Home(folder, empty)

    def trained(self, **changes):
        """The arrays that a version was trained on, and the version."""
        chosen = strategy(**{"training": {"window": {"sessions": 150}}, "normalisation": SCALED, **changes})
        document = self.scene.builder().build(chosen, self.scene.sessions[-1]).document
        arrays = load(self.scene.store, document)
        order = order_for(chosen, document, code_version="test")
        return arrays, self.home.trainer().train(order, document, arrays).version

    def predictor(self, **changes) -> Predictor:
        return Predictor(models=self.home.models, builder=self.scene.builder(**changes))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    empty = migrated(tmp_path_factory.mktemp("migrated"))
    return Served(tmp_path_factory.mktemp("served"), empty)


@pytest.mark.parametrize("model", [QUICK, SEQUENTIAL], ids=lambda each: each["kind"])
def test_serving_says_of_a_session_what_training_would_have_to_the_bit(served, model):
    """S1-92. The holdout's rows as training has them, and the same sessions asked about like any other."""
    arrays, version = served.trained(name=f"s_{model['kind']}", model=model)
    manifest, fitted = stored_model(served.home.models, version.model, version.number)
    settings = fitted.settings
    held = np.intersect1d(arrays.part("holdout"), arrays.sequences(settings.length).samples)
    rows = arrays.samples[held]
    wanted = fitted.predict(inputs_of(arrays, settings, held), ONE_THREAD)
    sessions, names = arrays.axis[arrays.session[rows]], arrays.symbols[arrays.symbol_of(rows)]
    first, last = sessions.min().item(), sessions.max().item()

    found = served.predictor().forecast(version.model, version.number, last, first=first)

    given = {key: place for place, key in enumerate(zip(found.sessions.tolist(), found.symbols.tolist(), strict=True))}
    places = [given[key] for key in zip(sessions.tolist(), names.tolist(), strict=True)]
    np.testing.assert_array_equal(found.predictions[places].view(np.uint32), wanted.view(np.uint32))
    assert found.version.id == version.id
    assert manifest.snapshot_id != found.infer_lineage_id


def test_rows_come_by_session_and_symbol_and_a_window_says_what_its_sessions_say_alone(served):
    _, version = served.trained(name="s_window", model=QUICK)
    predictor, sessions = served.predictor(), served.scene.sessions[-4:]
    whole = predictor.forecast(version.model, version.number, sessions[-1], first=sessions[0])
    keys = list(zip(whole.sessions.tolist(), whole.symbols.tolist(), strict=True))
    assert keys == sorted(keys)
    alone = [predictor.forecast(version.model, version.number, each) for each in sessions]
    np.testing.assert_array_equal(np.concatenate([each.score for each in alone]), whole.score)
    assert len({each.infer_lineage_id for each in (*alone, whole)}) == len(sessions) + 1


def test_without_the_version_there_is_an_error_and_no_forecast(served):
    """S1-75."""
    with pytest.raises(UnknownVersion):
        served.predictor().forecast("tiny.nobody", 1, served.scene.sessions[-1])


def test_a_definition_that_changed_since_is_not_read(served):
    _, version = served.trained(name="s_changed", model=QUICK)
    with pytest.raises(Exception, match=r"pull_back|custom_features"):
        served.predictor(registry=FeatureRegistry([alpha158_set()])).forecast(
            version.model, version.number, served.scene.sessions[-1]
        )


def test_a_window_too_short_for_its_sequences_is_refused(served):
    _, version = served.trained(name="s_short", model=SEQUENTIAL)
    with pytest.raises(NothingToForecast, match="5 sessions"):
        served.predictor().forecast(version.model, version.number, served.scene.sessions[2])


def test_a_version_is_loaded_once_however_many_sessions_it_is_asked_about(served):
    """S0-17. What the store says of it meanwhile is seen all the same."""
    _, version = served.trained(name="s_again", model=QUICK)
    predictor = served.predictor()
    first = predictor.loaded(version.model, version.number)
    served.home.models.set_tag(version.model, version.number, "reviewed", "yes")
    again = predictor.loaded(version.model, version.number)
    assert again.model is first.model
    assert again.version.tags["reviewed"] == "yes"
    last = served.scene.sessions[-1]
    one, other = (each.forecast(version.model, version.number, last) for each in (predictor, served.predictor()))
    np.testing.assert_array_equal(one.score, other.score)
