"""A strategy's past from its journal, its stored versions and the lake, and the policy that is replayed over it."""

import json

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from quant_pipelines.calendars import session_key
from quant_pipelines.cli.app import app
from quant_pipelines.cli.project import console
from quant_pipelines.deployment import Ref, decide, record
from quant_pipelines.deployment.failures import BadHistory
from quant_pipelines.deployment.replay import replay
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.lake import Window
from quant_pipelines.predictions.past import Records, by_session, past_of
from quant_pipelines.serving import Predictor
from quant_pipelines.snapshots import load
from quant_pipelines.strategies import Deployment
from quant_pipelines.training import order_for
from tests.homes import Home
from tests.judged import evidence, gain, seen
from tests.stored import migrated
from tests.unit.snapshots.conftest import Scene, strategy

POLICY = {"shadow_sessions": 2, "step_after_sessions": 2, "window_sessions": 2, "ladder": (100,)}
CHOSEN = strategy(
    label_set="qlib_return", model={"kind": "linear"}, features=["KMID", "KLEN"], deployment=POLICY,
    training={"window": {"sessions": 100}}, normalisation={"kind": "robust", "clip": 3, "missing": "centre"},
)  # fmt: skip
AT = (-30, -20)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two versions that were trained at two sessions, and decisions about them: the second one is better."""
    folder = tmp_path_factory.mktemp("past")
    scene = Scene(folder, symbols=8).publish()
    home = Home(folder, migrated(tmp_path_factory.mktemp("migrated")))
    versions = []
    for at in AT:
        document = scene.builder().build(CHOSEN, scene.sessions[at]).document
        order = order_for(CHOSEN, document, code_version="test", seed=0)
        version = home.trainer().train(order, document, load(scene.store, document)).version
        champion = seen(versions[0].name, versions[0].id) if versions else None
        found = evidence(
            market="tiny",
            strategy="s",
            cutoff=scene.sessions[at],
            candidate=seen(version.name, version.id, f1=0.56, balanced_f1=0.54),
            champion=champion,
            gains={"f1": gain(0.06), "balanced_f1": gain(0.04)} if champion else {},
            mse_ratio=gain(0.99) if champion else None,
        )
        record(home.journal, decide(found, Deployment(**POLICY)), actor="a test")
        versions.append(version)
    predictor = Predictor(models=home.models, builder=scene.builder())
    records = Records(market=scene.market, lake=scene.lake, journal=home.journal, predictor=predictor)
    return scene, records, versions


def test_both_versions_are_found_with_their_numbers_of_the_sessions_after_their_own(place):
    scene, records, versions = place
    rows = records.journal.head().sequence
    past = past_of(records, CHOSEN, Window(scene.sessions[AT[0]], scene.sessions[-1]))
    history = past.history
    assert past.silent == ()
    assert [each.version for each in history.candidates] == [Ref(number=each.number, id=each.id) for each in versions]
    for number, version in enumerate(versions):
        known = np.isfinite(history.results["ic"][version.id])
        assert not known[: AT[number] - AT[0] + 1].any(), "what it was trained and judged on says nothing"
        assert known[AT[number] - AT[0] + 1 : -4].all()
        assert not known[-2:].any(), "these labels have not resolved yet"
    assert records.journal.head().sequence == rows, "nothing is put on record"
    found = replay(history, CHOSEN.rollout_policy)
    assert [each.doing for each in found.events][:4] == ["decided", "begin", "decided", "begin"]
    assert found.paths["long_short"].sessions == found.paths["ic"].sessions > 10


def test_the_numbers_are_those_of_the_forecasts_and_the_labels_by_hand(place):
    scene, records, versions = place
    past = past_of(records, CHOSEN, Window(scene.sessions[AT[0]], scene.sessions[-1]))
    session = scene.sessions[-10]
    told = records.predictor.forecast(versions[1].model, versions[1].number, session)
    close = {name: scene.bars["close"][:, at] for at, name in enumerate(scene.names)}
    came = np.array([close[name][-8] / close[name][-9] - 1 for name in told.symbols])
    labels = scene.lake.stored("tiny", "labels").read(Window(session, session)).to_pylist()
    there = {each["symbol"] for each in labels if each["label_set"] == "qlib_return" and each["value"] is not None}
    kept = np.array([name in there for name in told.symbols])
    expected = np.corrcoef(told.score[kept], came[kept])[0, 1]
    at = past.history.sessions.index(session)
    assert past.history.results["ic"][versions[1].id][at] == pytest.approx(expected, abs=1e-5)
    order = np.argsort(told.score[kept])
    spread = (came[kept][order[-1]] - came[kept][order[0]]) / 2
    assert past.history.results["long_short"][versions[1].id][at] == pytest.approx(spread, abs=1e-6)


def test_a_version_that_is_gone_is_named_and_has_no_numbers(place):
    scene, records, _ = place
    window = Window(scene.sessions[AT[0]], scene.sessions[-1])
    gone = seen("tiny.s/77", "7" * 64, f1=0.56, balanced_f1=0.54)
    found = evidence(market="tiny", strategy="gone", cutoff=scene.sessions[-20], candidate=gone, champion=None)
    record(records.journal, decide(found, Deployment(**POLICY)), actor="a test")
    past = past_of(records, CHOSEN.model_copy(update={"name": "gone"}), window)
    assert "tiny.gone/77" in past.silent[0]
    assert np.isnan(past.history.results["ic"]["7" * 64]).all()
    with pytest.raises(BadHistory, match=r"No decision about tiny\.nobody"):
        past_of(records, CHOSEN.model_copy(update={"name": "nobody"}), window)


def test_two_names_rank_nothing():
    rows = pa.table(
        {"session": np.zeros(2, "datetime64[us]"), "symbol": ["a", "b"], "score": [1.0, 2.0], "value": [0.1, 0.2]}
    )
    _, found = by_session(rows)
    assert np.isnan([found["ic"][0], found["long_short"][0]]).all()


@pytest.fixture
def qp(place, monkeypatch):
    """Runs `qp policy backtest` in the place: what it printed, and the error of ours that it ended with."""
    folder = place[0].folder
    described = {"description": "A test."}
    market = {
        "owner": "team:quant", "calendar": "XSHG", "currency": "CNY", "first_session": "2023-01-03",
        "source": {"kind": "synthetic"}, "missing_bar": "suspended", "rules": "a_share",
    }  # fmt: skip
    names = ("features", "label_set", "model", "training", "normalisation", "deployment")
    written = CHOSEN.model_dump(mode="json", exclude_unset=True)
    chosen = {"market": "tiny", **{name: written[name] for name in names}}
    (folder / "markets.yaml").write_text(json.dumps({"markets": {"tiny": described | market}}))
    (folder / "strategies.yaml").write_text(json.dumps({"strategies": {"s": described | chosen}}))
    for name in ("QP_PROJECT", "QP_HOME"):
        monkeypatch.setenv(name, str(folder))
    # An installation of other tests may be open in this process.
    for name in ("QP_DATABASE_URL", "QP_MARKETS_FILE", "QP_STRATEGIES_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(console, "width", 250)

    def run(*arguments):
        result = CliRunner().invoke(app, ["policy", "backtest", "--strategy", "s", *arguments])
        if result.exception is not None and not isinstance(result.exception, QuantPipelinesError | SystemExit):
            raise result.exception
        return result.output, result.exception

    return run


def test_the_command_shows_what_would_have_happened_and_what_it_was_worth(place, qp):
    scene, records, _ = place
    rows = records.journal.head().sequence
    text, error = qp("--market", "tiny")
    assert error is None, error
    assert text.count("decided") == text.count("begin") == 2
    for part in (session_key(scene.sessions[AT[0]]), "promoted", "never retrain", "always newest", "long_short"):
        assert part in text
    assert records.journal.head().sequence == rows


def test_the_command_says_what_is_missing(place, qp):
    assert "s is a strategy of tiny, not of crypto" in str(qp("--market", "crypto")[1])
    late = session_key(place[0].sessions[-5])
    assert "No decision about tiny.s" in str(qp("--from", late)[1])
