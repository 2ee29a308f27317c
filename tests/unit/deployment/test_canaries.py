"""Canaries: a column that knows the future is caught before it goes live, and one of pure noise raises no alarm.

All of it on the real way: prices in the lake, features, snapshot, training, holdout, decision (X-20).
"""

import numpy as np
import pytest

from quant_pipelines.deployment import decide
from quant_pipelines.holdout import Examiner, Exchange
from quant_pipelines.labels import Venue
from quant_pipelines.markets import TradingRules, load_rules
from quant_pipelines.snapshots import load
from quant_pipelines.sources import Listing
from quant_pipelines.strategies import Deployment
from quant_pipelines.training import order_for
from tests.homes import Home
from tests.unit.snapshots.conftest import Scene, strategy

POLICY = Deployment()
# In the first the future is planted; the second is made of volumes, which are drawn anew each session.
CANARY, NOISE = "VWAP0", "VMA5"
HONEST = ["KMID", "KLEN"]
LINE, TREES = {"kind": "linear"}, {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 20, "num_leaves": 4}}


class Mine:
    """A published market whose average prices know the future, and the decisions about models that learn from it."""

    def __init__(self, folder, empty) -> None:
        self.scene = Scene(folder, symbols=12)
        close = self.scene.bars["close"]
        self.scene.bars["vwap"] = close * (1 + future(close))
        self.scene.publish()
        self.home = Home(folder, empty)

    def trained(self, features, model):
        chosen = strategy(
            features=features, label_set="qlib_return", model=model, training={"window": {"sessions": 150}},
            normalisation={"kind": "robust", "clip": 3, "missing": "centre"},
        )  # fmt: skip
        document = self.scene.builder().build(chosen, self.scene.sessions[-1]).document
        order = order_for(chosen, document, code_version="test", seed=0)
        return self.home.trainer().train(order, document, load(self.scene.store, document)).version

    def decided(self, candidate, champion=None):
        scene = self.scene
        rules = TradingRules(load_rules(scene.market.rules), scene.market.sessions_calendar)
        listings = [Listing(symbol=each, listed=scene.sessions[0]) for each in scene.names]
        venue = Venue(rules=rules, listings=listings, prices_are_raw=True)
        examiner = Examiner(
            models=self.home.models,
            builder=scene.builder(),
            exchange=Exchange(market=scene.market, lake=scene.lake, venue=venue),
            journal=self.home.journal,
            actor="test",
        )
        evidence = examiner.examine(candidate, champion).evidence
        assert evidence.status == "ok", evidence.reason
        return decide(evidence, POLICY)


def future(close):
    """The very return that the label holds: from the next close to the one after it."""
    known = np.full(close.shape, np.nan)
    known[:-2] = close[2:] / close[1:-1] - 1
    return np.where(np.isnan(known), 0.0, known)


@pytest.fixture(scope="module")
def mine(tmp_path_factory, empty_mlflow):
    return Mine(tmp_path_factory.mktemp("mine"), empty_mlflow)


def tripped(decision):
    return {each.name for each in decision.lines if each.group == "tripwire" and each.outcome == "failed"}


@pytest.mark.parametrize("model", [LINE, TREES], ids=lambda each: each["kind"])
def test_a_first_model_that_knows_the_future_is_quarantined(mine, model):
    decision = mine.decided(mine.trained([*HONEST, CANARY], model))
    assert decision.evidence.candidate.measures["ic"].value > 0.5
    assert decision.verdict == "quarantined", decision.reason
    assert tripped(decision) == {"tripwire_ic"}
    assert not decision.goes_live


def test_beside_an_honest_champion_it_is_quarantined_by_both_wires(mine):
    champion, candidate = mine.trained(HONEST, LINE), mine.trained([*HONEST, CANARY], LINE)
    decision = mine.decided(candidate, champion)
    assert decision.verdict == "quarantined", decision.reason
    assert tripped(decision) == {"tripwire_ic", "tripwire_mse_ratio"}


@pytest.mark.parametrize("model", [LINE, TREES], ids=lambda each: each["kind"])
def test_a_column_of_noise_raises_no_alarm_and_gains_nothing(mine, model):
    champion, candidate = mine.trained(HONEST, model), mine.trained([*HONEST, NOISE], model)
    decision = mine.decided(candidate, champion)
    assert tripped(decision) == set()
    assert decision.verdict == "rejected", decision.reason
    assert decision.evidence.gains["ic"].low < 0 < decision.evidence.gains["ic"].high
