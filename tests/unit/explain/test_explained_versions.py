"""A model explained on the snapshot it learned from: the report, its page, and what is refused."""

import numpy as np
import pytest

from quant_pipelines.explain import (
    Chosen,
    ExplainSettings,
    ExplanationRefused,
    ExplanationReport,
    FittedVersion,
    explain_version,
    explanation_page,
    explanation_plots,
)
from quant_pipelines.models import MODEL_KINDS
from quant_pipelines.snapshots import SnapshotArrays, load
from quant_pipelines.training import Engine, order_for
from tests.unit.snapshots.conftest import CLOCK, Scene, strategy

QUICK = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 8, "num_leaves": 5}}
SETTINGS = ExplainSettings(n_samples=60, strongest=3)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> SnapshotArrays:
    scene = Scene(tmp_path_factory.mktemp("explained"), symbols=4).publish()
    chosen = strategy(training={"window": {"sessions": 150}}, label_set="qlib_return", model=QUICK)
    return load(scene.store, scene.builder().build(chosen, scene.sessions[-1]).document)


@pytest.fixture(scope="module")
def version(arrays) -> FittedVersion:
    chosen = strategy(training={"window": {"sessions": 150}}, label_set="qlib_return", model=QUICK)
    order = order_for(chosen, arrays.document, code_version="test")
    trained = Engine(clock=CLOCK, listener=lambda _: None).train(order, arrays)
    model = MODEL_KINDS["lightgbm"].make(order.settings, trained.files)
    return FittedVersion(model_id=order.training_id, model_name=order.model_name, model=model, arrays=arrays)


@pytest.fixture(scope="module")
def report(version) -> ExplanationReport:
    return explain_version(version, SETTINGS)


def test_the_report_says_what_the_model_looks_at(report, arrays):
    assert (report.rows, report.model_kind, report.snapshot) == (60, "lightgbm", arrays.document.id)
    assert report.adds_up
    assert {each.feature for each in report.columns} == set(arrays.columns)
    assert sum(each.share for each in report.columns) == pytest.approx(1)
    assert {each.family for each in report.families} == {"custom_features", "alpha158: candle"}
    assert sum(each.rows for each in report.stability.folds) == 60
    assert report.recency is None


def test_equal_models_and_inputs_are_explained_equally(report, version, arrays):
    """S2-104, property 9: also from the files again."""
    model = MODEL_KINDS["lightgbm"].make(version.model.settings, version.model.state())
    again = explain_version(
        FittedVersion(model_id=version.model_id, model_name=version.model_name, model=model, arrays=arrays), SETTINGS
    )
    assert again.model_dump_json() == report.model_dump_json()


def test_another_seed_explains_other_rows(report, version):
    other = explain_version(version, ExplainSettings(n_samples=60, strongest=3, seed=1))
    assert [each.importance for each in other.columns] != [each.importance for each in report.columns]


def test_it_is_json_and_back(report):
    assert ExplanationReport.model_validate_json(report.model_dump_json()) == report


def test_the_highest_and_the_lowest_prediction_of_the_newest_session_are_shown(report, version, arrays):
    assert [each.session for each in report.local] == [str(arrays.axis[-1])[:10]] * len(report.local)
    assert report.local[0].score >= report.local[-1].score
    for each in report.local:
        told = each.base + sum(part.contribution for part in each.contributions) + each.rest
        assert told == pytest.approx(each.score, abs=1e-6)
        assert len(each.contributions) == 3


def test_a_chosen_prediction_is_explained(version, arrays):
    session = arrays.axis[-20].astype("datetime64[us]").item()
    symbol = str(arrays.symbols[0])
    (found,) = explain_version(version, SETTINGS, chosen=[Chosen(symbol=symbol, session=session)]).local
    row = arrays.rows_of(session)[0]
    assert (found.symbol, found.session) == (symbol, str(arrays.axis[-20])[:10])
    for each in found.contributions:
        value = arrays.block[row][arrays.columns.index(each.feature)]
        assert each.value == (None if np.isnan(value) else pytest.approx(float(value)))
    assert found.words.startswith(f"{symbol}, {found.session}: Forecast")


def test_a_prediction_that_is_not_there_is_refused_with_what_is(version, arrays):
    session = arrays.axis[-1].astype("datetime64[us]").item()
    with pytest.raises(ExplanationRefused, match=r"no row of NOBODY at .* It has 4 symbols from"):
        explain_version(version, SETTINGS, chosen=[Chosen(symbol="NOBODY", session=session)])


def test_training_rows_can_be_explained_and_the_holdout_cannot(version, arrays):
    found = explain_version(version, ExplainSettings(n_samples=10_000, part="train"))
    split = arrays.document.outcome.split
    assert found.rows == split.train.rows
    assert found.last < split.validation.first.isoformat()
    with pytest.raises(KeyError):
        explain_version(version, ExplainSettings(part="holdout"))


def test_the_page_tells_everything_and_escapes_it(report):
    page = explanation_page(report.model_copy(update={"model_name": "<script>x"}))
    assert "&lt;script&gt;x" in page
    assert "<script>x" not in page
    assert all(f"{each.symbol}, {each.session}: Forecast" in page for each in report.local)
    assert page.count("<svg") == 4 + len(report.local)
    assert all(each.family in page for each in report.families)


def test_plots_are_pictures_and_equal_for_equal_reports(report):
    plots = explanation_plots(report)
    assert list(plots) == ["importance", "families", "contributions", "stability"]
    assert all(each.startswith(b"\x89PNG") for each in plots.values())
    again = ExplanationReport.model_validate_json(report.model_dump_json())
    assert explanation_plots(again) == plots
