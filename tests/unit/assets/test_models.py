"""The model asset run by Dagster: trained once, stored, traced, judged; and what it says when it cannot."""

import shutil
import threading
import time
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from assets.checks.models import COMPATIBLE, REPRODUCED, model_checks
from assets.checks.replay import NOT_REPLAYED, REPLAY_CONSISTENCY, replay_checks
from assets.comparison import comparison_assets
from assets.keys import MODEL, SEARCH, SNAPSHOT, key_of
from assets.launchpad import training_config
from assets.models import model_assets
from assets.search import search_assets
from assets.snapshots import snapshot_assets
from quant_pipelines.calendars import session_key
from quant_pipelines.lineage import NodeKind
from quant_pipelines.models import MODEL_KINDS
from quant_pipelines.registry.failures import HashMismatch
from quant_pipelines.registry.mlflow.place import place_of
from quant_pipelines.settings import Settings
from resources.journal import JournalResource
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.machine import MachineResource
from resources.models import ModelStoreResource, TrackerResource
from resources.pages import PagesResource
from resources.snapshots import SnapshotsResource
from resources.training import TrainingResource
from tests.stored import migrated
from tests.unit.snapshots.conftest import Scene, strategy

QUICK = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 8, "num_leaves": 4}}
STRATEGIES = {
    "trees": strategy(
        name="trees", label_set="qlib_return", model=QUICK, features=["alpha158"],
        training={"window": {"sessions": 150}},
    ),
    # Linear models cannot read the holes that Alpha158 begins with.
    "line": strategy(
        name="line", label_set="qlib_return", model={"kind": "linear"}, features=["alpha158"],
        training={"window": {"sessions": 150}},
    ),
    # What the net learns grows without bound.
    "careful": strategy(
        name="careful", label_set="qlib_return", features=["KMID", "KLEN"], training={"window": {"sessions": 150}},
        model={
            "kind": "mlp", "hyperparameters": {"optimizer": "sgd", "weight_decay": 1e6, "lr": 10.0, "batch_size": 32},
            "fallback": {"kind": "linear"},
        },
        normalisation={"kind": "robust", "clip": 3, "missing": "centre"},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A lake with everything, and MLflow's empty tables."""
    folder = tmp_path_factory.mktemp("prepared")
    Scene(folder).publish()
    shutil.copyfile(migrated(tmp_path_factory.mktemp("migrated")), folder / "mlflow.db")
    return folder


class Graph:
    """Snapshot and model on an instance and a home of their own."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.scene, self.instance = Scene(folder), instance
        home = str(folder)
        self.resources = {
            "lake": LakeResource(root=f"{home}/lake", leases=f"{home}/leases"),
            "lineage": LineageResource(home=home),
            "snapshots": SnapshotsResource(home=home),
            "models": ModelStoreResource(home=home),
            "tracker": TrackerResource(home=home),
            "training": TrainingResource(home=home),
            "machine": MachineResource(threads=1),
            "journal": JournalResource(home=home),
        }

    @property
    def partition(self) -> str:
        return session_key(self.scene.sessions[-1])

    def run(
        self, name: str, *assets: str, values: dict | None = None, search: dict | None = None
    ) -> dg.ExecuteInProcessResult:
        market = self.scene.market
        keys = [key_of(market, each) for each in assets or (SNAPSHOT, MODEL)]
        job = dg.Definitions(
            assets=[
                made for make in (snapshot_assets, search_assets, model_assets) for made in make(market, STRATEGIES)
            ],
            asset_checks=[*model_checks(market, STRATEGIES), *replay_checks(market, STRATEGIES)],
            jobs=[dg.define_asset_job("train", selection=dg.AssetSelection.assets(*keys))],
            resources=self.resources,
            executor=dg.in_process_executor,
        ).resolve_job_def("train")
        given = {"tiny__model": values, "tiny__search": search}
        config = {"ops": {op: {"config": each} for op, each in given.items() if each}}
        return job.execute_in_process(
            instance=self.instance, partition_key=f"{self.partition}|{name}", run_config=config, raise_on_error=False
        )

    def latest(self, asset: str = MODEL) -> dg.AssetMaterialization:
        (record,) = self.instance.fetch_materializations(key_of(self.scene.market, asset), limit=1).records
        return record.asset_materialization

    def count(self, name: str):
        return self.resources["training"].ledger("test").count(f"tiny.{name}")


@pytest.fixture
def graph(tmp_path, prepared):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Graph(tmp_path, instance)


@pytest.fixture
def shared(tmp_path_factory):
    """An instance that other threads see, too."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as instance:
        yield instance


def checked(result) -> dict[str, bool]:
    return {each.check_name: each.passed for each in result.get_asset_check_evaluations()}


def failure_of(result) -> dg.Failure:
    (failed,) = [each for each in result.all_events if each.is_step_failure]
    return failed.event_specific_data.user_failure_data


def test_a_training_is_stored_shown_counted_and_traced_and_its_checks_hold(graph):
    """S1-33, S2-21, S2-22, S2-103."""
    result = graph.run("trees")
    assert result.success
    assert checked(result) == {COMPATIBLE: True, REPRODUCED: True, REPLAY_CONSISTENCY: True}
    told = {each.check_name: each.metadata for each in result.get_asset_check_evaluations()}
    assert told[REPLAY_CONSISTENCY]["outcome"].value == NOT_REPLAYED, "nothing is trained twice in one run"
    event = graph.latest()
    assert event.partition == f"{graph.partition}|trees"
    assert event.metadata["model"].value == "tiny.trees/1"
    assert event.metadata["total_epochs"].value == 8
    assert event.metadata["hyperparameters"].value["num_leaves"] == 4
    assert event.metadata["validation_mse"].value > 0
    assert len(event.metadata["strongest_features"].records) > 0
    assert event.metadata["report"].records[0].data["Total epochs"] == "8"
    assert event.metadata["curves"].value.startswith("![curves](data:image/png;base64,")
    assert event.metadata["importance"].value.startswith("![importance]")
    version = graph.resources["models"].open().version("tiny.trees", 1)
    assert event.metadata["version_id"].value == version.id
    assert graph.count("trees").completed == graph.count("trees").begun == 1
    lineage = graph.resources["lineage"].open()
    found = lineage.dependents("tiny", graph.scene.sessions[-30], table="alpha158")
    assert NodeKind.MODEL in {each.kind for each in found.nodes}
    observed = [
        each.asset_observation_data.asset_observation.metadata
        for each in result.all_events
        if each.event_type is dg.DagsterEventType.ASSET_OBSERVATION
    ]
    stages = ["preparing", "configuring", "training", "evaluating", "completed"]
    assert [each["stage"].value for each in observed] == stages
    assert {each["model_id"].value for each in observed} == {event.metadata["training_id"].value}


def test_what_was_trained_instead_is_said_and_traced(graph):
    """S2-110."""
    result = graph.run("careful")
    assert result.success
    assert checked(result) == {COMPATIBLE: True, REPRODUCED: True, REPLAY_CONSISTENCY: True}
    event = graph.latest()
    assert event.metadata["kind"].value == "linear"
    assert event.metadata["adjusted"].value == "linear and not mlp, since it diverged"
    node = graph.resources["lineage"].open().node(event.metadata["version_id"].value)
    assert node.facts["kind"] == "linear"
    assert node.facts["training_id"] == event.metadata["training_id"].value


def test_mlflow_has_the_curves_the_parameters_and_the_report(graph):
    """S2-26."""
    graph.run("trees")
    version = graph.resources["models"].open().version("tiny.trees", 1)
    client = _client(graph.scene.folder)
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["num_leaves"] == "4"
    assert run.data.tags["train_lineage_id"] == graph.latest().metadata["train_lineage_id"].value
    curve = client.get_metric_history(version.run_id, "train_l2")
    assert [each.step for each in sorted(curve, key=lambda each: each.step)] == list(range(1, 9))
    there = {each.path for each in client.list_artifacts(version.run_id)}
    assert {"training_report.json", "training_report.html"} <= there


def test_equal_orders_are_trained_once_and_have_one_data_version(graph):
    graph.run("trees")
    first = graph.latest()
    assert graph.run("trees", MODEL).success
    again = graph.latest()
    assert again.metadata["trained"].value.startswith("before")
    assert again.tags["dagster/data_version"] == first.tags["dagster/data_version"]
    assert graph.count("trees").begun == 1


def test_values_of_the_launchpad_win_and_make_another_version(graph):
    """S2-25, S2-83."""
    graph.run("trees")
    result = graph.run("trees", MODEL, values={"hyperparameters": {"lightgbm": {"num_leaves": 3}}, "seed": 5})
    assert result.success
    event = graph.latest()
    assert event.metadata["model"].value == "tiny.trees/2"
    assert event.metadata["hyperparameters"].value["num_leaves"] == 3
    assert event.metadata["hyperparameters"].value["num_boost_round"] == 8


def test_values_for_another_kind_are_refused(graph):
    graph.run("trees", SNAPSHOT)
    result = graph.run("trees", MODEL, values={"hyperparameters": {"linear": {"alpha": 1.0}}})
    failure = failure_of(result)
    assert failure.metadata["code"].value == "QP146"
    assert "trees is a lightgbm" in failure.description
    assert graph.count("trees").begun == 0


def test_a_training_that_fails_is_recorded_with_its_reason(graph):
    """S3-66."""
    result = graph.run("line")
    failure = failure_of(result)
    assert failure.metadata["code"].value == "QP273"
    assert "missing: centre" in failure.description
    assert graph.count("line").failed == 1
    assert graph.resources["models"].open().versions("tiny.line") == []
    client = _client(graph.scene.folder)
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert run.info.status == "FAILED"
    assert "missing: centre" in run.data.tags["error"]


@pytest.mark.parametrize("asset", [MODEL, SEARCH])
@pytest.mark.parametrize("force", [False, True], ids=["asked to end", "marked as canceled"])
def test_a_run_that_nobody_wants_ends_although_no_interrupt_reached_it(graph, shared, asset, force):
    """S2-46."""
    graph.instance = shared
    graph.run("trees", SNAPSHOT)
    endless = {"num_boost_round": 100_000, "early_stopping_rounds": 100_000}
    canceller = threading.Thread(target=cancel, args=(shared, force))
    canceller.start()
    graph.run("trees", asset, values={"hyperparameters": {"lightgbm": endless}} if asset == MODEL else None,
              search={"trials": 1_000_000} if asset == SEARCH else None)  # fmt: skip
    canceller.join()
    (run,) = shared.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.CANCELED]))
    assert graph.resources["models"].open().versions("tiny.trees") == []
    client = _client(graph.scene.folder)
    tracked = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert {each.info.status for each in tracked if each.data.tags.get("dagster_run") == run.run_id} == {"KILLED"}


def cancel(instance: dg.DagsterInstance, force: bool) -> None:
    """What the UI does to the run that has begun to learn; without the signal, which may get lost."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            instance.report_run_canceling(run)
            if force:
                instance.report_run_canceled(run)
            return
        time.sleep(0.05)


def test_a_model_without_a_snapshot_says_what_to_materialise(graph):
    failure = failure_of(graph.run("trees", MODEL))
    assert failure.metadata["code"].value == "QP163"
    assert "Materialise tiny/snapshot" in failure.description


def test_a_version_that_was_tampered_with_is_told_and_trained_again(graph):
    """One flipped byte of the stored booster."""
    graph.run("trees")
    before = graph.latest()
    (file,) = graph.scene.folder.rglob("booster.txt")
    content = np.frombuffer(file.read_bytes(), np.uint8).copy()
    content[len(content) // 2] ^= 1
    file.write_bytes(content.tobytes())
    models = graph.resources["models"].open()
    with pytest.raises(HashMismatch, match="not what was signed for"):
        models.load("tiny.trees", 1)
    assert graph.run("trees", MODEL).success
    event = graph.latest()
    assert "not what was signed for" in event.metadata["damaged_before"].value
    assert event.metadata["model"].value != "tiny.trees/1"
    assert event.tags["dagster/data_version"] == before.tags["dagster/data_version"]
    assert graph.count("trees").begun == 2


def test_the_launchpad_knows_every_parameter_with_its_meaning_and_fills_none_in():
    """S2-82..S2-84: a default that is filled in would stand over the strategy's own value."""
    shape = training_config(MODEL_KINDS)["hyperparameters"].config_type.fields
    assert set(shape) == set(MODEL_KINDS)
    for name, spec in MODEL_KINDS.items():
        fields = shape[name].config_type.fields
        assert set(fields) == {each.name for each in spec.parameters_known}
        for each in spec.parameters_known:
            assert each.description in fields[each.name].description
            assert str(each.default) in fields[each.name].description
            assert not fields[each.name].is_required
            assert not fields[each.name].default_provided


def test_a_market_without_strategies_has_no_models(graph):
    assert model_assets(graph.scene.market, {}) == []
    assert model_checks(graph.scene.market, {}) == []


def _client(home: Path):
    from mlflow import MlflowClient

    uri = place_of(Settings(home=home)).uri
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def test_models_are_compared_side_by_side(graph):
    """S2-33."""
    for seed in (1, 2):
        assert graph.run("trees", values={"seed": seed}).success
    market = graph.scene.market
    pages = PagesResource(folder=str(graph.scene.folder / "pages"))

    def compared(*names: str) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            comparison_assets(market, STRATEGIES),
            instance=graph.instance,
            resources={**graph.resources, "pages": pages},
            run_config={"ops": {"tiny__model_comparison": {"config": {"models": list(names)}}}},
            raise_on_error=False,
        )

    result = compared("tiny.trees/1", "tiny.trees/2")
    (event,) = result.asset_materializations_for_node("tiny__model_comparison")
    assert "validation_mse" in {row.data["measure"] for row in event.metadata["metrics"].records}
    assert "tiny.trees" in Path(event.metadata["page"].value).read_text(encoding="utf-8")
    refused = failure_of(compared(*["tiny.trees/1"] * 5))
    assert refused.metadata["code"].value == "QP196"
    assert failure_of(compared("trees")).metadata["code"].value == "QP164"


def test_a_search_is_on_record_and_its_best_values_train_a_model(graph):
    assert failure_of(graph.run("trees", values={"from_search": True})).metadata["code"].value == "QP165"
    assert graph.run("trees", SEARCH, search={"trials": 3, "folds": 2}).success
    event = graph.latest(SEARCH)
    assert event.metadata["tried"].value == 3
    assert "trials" in event.metadata["overfitting"].value
    best = event.metadata["best_parameters"].value
    assert graph.count("trees").trials == 3
    client = _client(graph.scene.folder)
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    names = {run.info.run_name: run for run in runs}
    assert {"trees search", "trial 0", "trial 1", "trial 2"} <= set(names)
    parent = names["trees search"].info.run_id
    assert names["trial 0"].data.tags["mlflow.parentRunId"] == parent
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
    assert graph.run("trees", MODEL, values={"from_search": True}).success
    trained = graph.latest().metadata["hyperparameters"].value
    assert {name: trained[name] for name in best} == best
