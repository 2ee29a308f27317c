"""A published market with a home: versions are trained at its sessions, judged and decided about."""

from quant_pipelines.deployment import Decision, decide, record
from quant_pipelines.holdout import Examiner, Exchange
from quant_pipelines.labels import Venue
from quant_pipelines.markets import TradingRules, load_rules
from quant_pipelines.models import Machine
from quant_pipelines.snapshots import load
from quant_pipelines.sources import Listing
from quant_pipelines.strategies import Deployment
from quant_pipelines.training import order_for
from tests.homes import Home
from tests.unit.snapshots.conftest import Scene, strategy

TREES = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 6, "num_leaves": 4}}
LINE = {"kind": "linear"}
WINDOW = {
    "training": {"window": {"sessions": 150}},
    "normalisation": {"kind": "robust", "clip": 3, "missing": "centre"},
}


class Place:
    """A published market, a home, and versions that were trained at sessions of it."""

    name = "s"

    def __init__(self, folder, empty) -> None:
        self.folder = folder
        self.scene = Scene(folder, symbols=8).publish()
        self.home = Home(folder, empty)

    def trained(self, *, at: int = -1, seed: int = 0, threads: int = 1, **changes):
        chosen = strategy(**{**WINDOW, "name": self.name, "label_set": "qlib_return", **changes})
        document = self.scene.builder().build(chosen, self.scene.sessions[at]).document
        order = order_for(chosen, document, code_version="test", seed=seed, machine=Machine(threads=threads))
        return self.home.trainer().train(order, document, load(self.scene.store, document)).version

    def examiner(self) -> Examiner:
        scene = self.scene
        return Examiner(
            models=self.home.models,
            builder=scene.builder(),
            exchange=self.exchange(),
            journal=self.home.journal,
            actor="test",
        )

    def exchange(self) -> Exchange:
        scene = self.scene
        rules = TradingRules(load_rules(scene.market.rules), scene.market.sessions_calendar)
        listings = [Listing(symbol=each, listed=scene.sessions[0]) for each in scene.names]
        venue = Venue(rules=rules, listings=listings, prices_are_raw=True)
        return Exchange(market=scene.market, lake=scene.lake, venue=venue)

    def decided(self, candidate, champion=None, **policy) -> Decision:
        """Judge, decide and put on record."""
        found = self.examiner().examine(candidate, champion)
        decision = decide(found.evidence, Deployment(**policy))
        record(self.home.journal, decision, actor="test")
        return decision
