"""The explanation asset run by Dagster on a model that was stored."""

import shutil

import dagster as dg
import pytest

from assets.explain import explanation_assets
from assets.keys import EXPLANATION, MODEL, SNAPSHOT, key_of
from assets.models import model_assets
from assets.snapshots import snapshot_assets
from quant_pipelines.calendars import session_key
from quant_pipelines.lineage import NodeKind
from quant_pipelines.registry.mlflow.client import Mlflow
from quant_pipelines.registry.mlflow.place import place_of
from quant_pipelines.settings import Settings
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.machine import MachineResource
from resources.models import ModelStoreResource, TrackerResource
from resources.pages import PagesResource
from resources.snapshots import SnapshotsResource
from resources.training import TrainingResource
from tests.stored import migrated
from tests.unit.snapshots.conftest import Scene, strategy

STRATEGIES = {
    "trees": strategy(
        name="trees", label_set="qlib_return", features=["KMID", "KLEN", "ROC5"],
        model={"kind": "lightgbm", "hyperparameters": {"num_boost_round": 8, "num_leaves": 4}},
        training={"window": {"sessions": 150}},
    )
}  # fmt: skip


class Graph:
    """Snapshot, model and explanation on an instance and a home of their own."""

    def __init__(self, folder, instance):
        self.scene, self.instance, self.folder = Scene(folder, symbols=4).publish(), instance, folder
        home = str(folder)
        self.resources = {
            "lake": LakeResource(root=f"{home}/lake", leases=f"{home}/leases"),
            "lineage": LineageResource(home=home), "snapshots": SnapshotsResource(home=home),
            "models": ModelStoreResource(home=home), "tracker": TrackerResource(home=home),
            "training": TrainingResource(home=home), "machine": MachineResource(threads=1),
            "pages": PagesResource(folder=f"{home}/pages"),
        }  # fmt: skip
        self.partition = f"{session_key(self.scene.sessions[-1])}|trees"

    def run(self, *assets, **config):
        market = self.scene.market
        makers = (snapshot_assets, model_assets, explanation_assets)
        job = dg.Definitions(
            assets=[each for make in makers for each in make(market, STRATEGIES)],
            jobs=[dg.define_asset_job("j", selection=dg.AssetSelection.assets(*(key_of(market, a) for a in assets)))],
            resources=self.resources,
            executor=dg.in_process_executor,
        ).resolve_job_def("j")
        run_config = {"ops": {"tiny__explanation": {"config": config}}} if config else None
        return job.execute_in_process(
            instance=self.instance, partition_key=self.partition, run_config=run_config, raise_on_error=False
        )

    def latest(self):
        key = key_of(self.scene.market, EXPLANATION)
        (record,) = self.instance.fetch_materializations(key, limit=1).records
        return record.asset_materialization


def files_of(graph, run_id: str) -> set[str]:
    """The explanations among the files of an MLflow run that has ended, and stays so."""
    client = Mlflow(place_of(Settings(home=graph.folder))).client
    assert client.get_run(run_id).info.status == "FINISHED"
    return {each.path for each in client.list_artifacts(run_id, "explanation")}


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explaining")
    shutil.copyfile(migrated(tmp_path_factory.mktemp("migrated")), folder / "mlflow.db")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Graph(folder, instance)


def test_a_model_is_explained_shown_and_explained_equally_again(graph):
    """S2-39, S2-127, S2-128, S3-17."""
    result = graph.run(EXPLANATION)
    failures = [each for each in result.all_events if each.is_step_failure]
    assert [each.event_specific_data.user_failure_data.metadata["code"].value for each in failures] == ["QP197"]

    assert graph.run(SNAPSHOT, MODEL, EXPLANATION).success
    first = graph.latest()
    assert first.partition == graph.partition
    assert first.metadata["model"].value == "tiny.trees/1"
    assert first.metadata["adds_up"].value is True
    assert {each.data["family"] for each in first.metadata["families"].records} == {"alpha158: candle", "alpha158: ROC"}
    assert first.metadata["importance"].value.startswith("![importance](data:image/png;base64,")
    (page,) = (graph.folder / "pages").rglob("*.html")
    assert first.metadata["page"].value == str(page)
    assert "tiny.trees" in page.read_text(encoding="utf-8")

    lineage = graph.resources["lineage"].open()
    node = lineage.node(first.metadata["data_version"].value)
    version = graph.resources["models"].open().version("tiny.trees", 1)
    assert {(each.id, each.role) for each in node.parents} == {
        (version.id, "explains"),
        (first.metadata["train_lineage_id"].value, "explained_on"),
    }
    found = lineage.dependents("tiny", graph.scene.sessions[-30], table="alpha158")
    assert NodeKind.EXPLANATION in {each.kind for each in found.nodes}
    files = first.metadata["mlflow_files"].value
    assert files_of(graph, version.run_id) == {f"{files}.html", f"{files}.json"}

    assert graph.run(EXPLANATION).success
    assert files_of(graph, version.run_id) == {f"{files}.html", f"{files}.json"}
    assert graph.latest().metadata["data_version"] == first.metadata["data_version"]

    symbol, session = graph.scene.names[0], session_key(graph.scene.sessions[-9])
    assert graph.run(EXPLANATION, seed=1, n_samples=20, predictions=[{"symbol": symbol, "session": session}]).success
    assert graph.latest().metadata["rows"].value == 20
    assert graph.latest().metadata["predictions"].value.startswith(f"{symbol}, {session}: Forecast")
    assert len(files_of(graph, version.run_id)) == 4, "the first explanation stays beside the second"
    assert graph.resources["models"].open().load("tiny.trees", 1).manifest.digest == version.id
