"""From the snapshot to what is live: Dagster's graph of a small market, on an instance and a home of its own."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from assets.checks.monitoring import monitoring_checks
from assets.checks.predictions import prediction_checks
from assets.checks.replay import replay_checks
from assets.decision import decision_assets
from assets.explain import explanation_assets
from assets.holdout import holdout_assets
from assets.keys import (
    DECISION,
    HOLDOUT_EVALUATION,
    MODEL,
    MODEL_MONITORING,
    PREDICTION_ERRORS,
    PREDICTIONS,
    ROLLOUT,
    SNAPSHOT,
    key_of,
)  # fmt: skip
from assets.models import model_assets
from assets.monitoring import monitoring_assets
from assets.prediction_errors import prediction_error_assets
from assets.predictions import prediction_assets
from assets.rollout import rollout_assets
from assets.search import search_assets
from assets.snapshots import snapshot_assets
from quant_pipelines.calendars import session_key
from quant_pipelines.deployment import live_now
from quant_pipelines.strategies import Strategy
from resources.journal import JournalResource
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.machine import MachineResource
from resources.models import ModelStoreResource, TrackerResource
from resources.monitoring import MonitoringResource
from resources.pages import PagesResource
from resources.slo import SloResource
from resources.snapshots import SnapshotsResource
from resources.sources import SourcesResource
from resources.training import TrainingResource
from sensors.jobs import strategy_jobs
from tests.stored import migrated
from tests.unit.snapshots.conftest import Scene, strategy

GATES_OFF = {"least_sharpe": None, "deepest_drawdown": None, "most_rejects": None}
# Whatever is not worse goes on, so that rollouts can be watched: the rule is met by any MSE up to the champion's own.
WITHOUT_GUARDS = {
    **GATES_OFF, "policy": "as_specified", "mse_ratio": 1.0, "f1_gain": 0.0, "ladder": [10, 30, 100],
}  # fmt: skip
QUICK_LADDER = {**WITHOUT_GUARDS, "shadow_sessions": 2, "step_after_sessions": 2, "window_sessions": 2}


def made(name: str, model: dict, deployment: dict):
    return strategy(
        name=name, label_set="qlib_return", model=model, features=["alpha158"],
        training={"window": {"sessions": 110}}, deployment=deployment,
        normalisation={"kind": "robust", "clip": 3, "missing": "centre"},
    )  # fmt: skip


TREES = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 8, "num_leaves": 4}}
STRATEGIES = {
    "strict": made("strict", TREES, {}),
    "easy": made("easy", TREES, QUICK_LADDER),
    "signed": made("signed", TREES, {**QUICK_LADDER, "approvals": 1}),
}
SYMBOLS = 12
LIMITS = {"accuracy_drop": 0.05, "latency_ms": 1000, "drift_score": 0.3}
JUDGED = (SNAPSHOT, MODEL, HOLDOUT_EVALUATION, DECISION, ROLLOUT)


def prepare(folder: Path, tables: Path) -> None:
    """A lake with everything, and MLflow's empty tables."""
    Scene(folder, symbols=SYMBOLS).publish()
    shutil.copyfile(migrated(tables), folder / "mlflow.db")


class Graph:
    """Everything from the snapshot on, on an instance and a home of their own."""

    def __init__(
        self, folder: Path, instance: dg.DagsterInstance, strategies: Mapping[str, Strategy] = STRATEGIES
    ) -> None:
        self.scene, self.instance, home = Scene(folder, symbols=SYMBOLS), instance, str(folder)
        self.strategies = strategies
        self.resources = {
            "lake": LakeResource(root=f"{home}/lake", leases=f"{home}/leases"),
            "lineage": LineageResource(home=home),
            "snapshots": SnapshotsResource(home=home),
            "sources": SourcesResource(),
            "models": ModelStoreResource(home=home),
            "tracker": TrackerResource(home=home),
            "training": TrainingResource(home=home),
            "journal": JournalResource(home=home),
            "pages": PagesResource(folder=f"{home}/pages"),
            "machine": MachineResource(threads=1),
            "monitoring": MonitoringResource(**LIMITS, sessions=3, home=home),
            "slo": SloResource(p95_ms=1000, least_observations=20, sessions=60),
        }
        self.definitions = self._defined()

    def limits(self, **limits: float) -> None:
        """Let what is watched go so far, from now on."""
        before = self.resources["monitoring"].model_dump(include={*LIMITS, "sessions", "home"})
        self.resources["monitoring"] = MonitoringResource(**{**before, **limits})
        self.definitions = self._defined()

    def _defined(self) -> dg.Definitions:
        market = self.scene.market
        makers = (
            snapshot_assets, search_assets, model_assets, explanation_assets, holdout_assets, decision_assets,
            prediction_assets, prediction_error_assets, monitoring_assets, rollout_assets,
        )  # fmt: skip
        selections = {
            "judge": JUDGED,
            "decide": JUDGED[:-1],
            "predict": (PREDICTIONS,),
            "move": (ROLLOUT,),
            "err": (PREDICTION_ERRORS,),
            "watch": (MODEL_MONITORING,),
        }
        return dg.Definitions(
            assets=[each for make in makers for each in make(market, self.strategies)],
            asset_checks=[
                each
                for make in (prediction_checks, monitoring_checks, replay_checks)
                for each in make(market, self.strategies)
            ],
            jobs=[
                *strategy_jobs(market, self.strategies),
                *(
                    dg.define_asset_job(
                        name, selection=dg.AssetSelection.assets(*(key_of(market, each) for each in keys))
                    )
                    for name, keys in selections.items()
                ),
            ],
            resources=self.resources,
            executor=dg.in_process_executor,
        )

    def run(self, job: str, partition: str, config: dict | None = None) -> dg.ExecuteInProcessResult:
        ops = {"ops": {op: {"config": each} for op, each in (config or {}).items()}}
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, partition_key=partition, run_config=ops, raise_on_error=False
        )

    def at(self, place: int) -> str:
        return session_key(self.scene.sessions[place])

    def judge(self, name: str, place: int, seed: int = 0) -> dict:
        """Train, judge and decide at a session; what the decision says."""
        result = self.run("judge", f"{self.at(place)}|{name}", {"tiny__model": {"seed": seed}})
        assert result.success
        return self.latest(DECISION)

    def day(self, name: str, place: int) -> dict:
        """A session after training: predictions, then the rollout's move."""
        assert self.run("predict", self.at(place)).success
        assert self.run("move", f"{self.at(place)}|{name}").success
        return self.latest(ROLLOUT)

    def latest(self, asset: str) -> dict:
        (record,) = self.instance.fetch_materializations(key_of(self.scene.market, asset), limit=1).records
        return {name: each.value for name, each in record.asset_materialization.metadata.items()}

    def live(self, name: str):
        return live_now(self.resources["journal"].open(), f"tiny.{name}")


def failure_of(result) -> dg.Failure:
    (failed,) = [each for each in result.all_events if each.is_step_failure]
    return failed.event_specific_data.user_failure_data
