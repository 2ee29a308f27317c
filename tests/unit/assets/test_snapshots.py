"""The snapshot asset run by Dagster: one partition for a cutoff and a strategy, its metadata, lineage and checks."""

import shutil

import dagster as dg
import pytest

from assets.checks.snapshots import CONSISTENCY, PARITY, snapshot_checks
from assets.keys import SNAPSHOT, key_of
from assets.snapshots import coordinates, snapshot_assets, snapshot_partitions
from quant_pipelines.calendars import session_key
from quant_pipelines.lineage import NodeKind
from quant_pipelines.snapshots import load
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.machine import MachineResource
from resources.snapshots import SnapshotsResource
from tests.unit.snapshots.conftest import SESSIONS, Scene, strategy

STRATEGIES = {
    name: strategy(name=name, features=features, training={"window": {"sessions": 100}})
    for name, features in (("one", ["KMID", "KLEN"]), ("two", ["KMID", "KUP"]))
}


@pytest.fixture(scope="module")
def published_here(tmp_path_factory):
    return Scene(tmp_path_factory.mktemp("published")).publish()


class Graph:
    """The asset and its checks on an instance, a lake and a home of their own."""

    def __init__(self, scene, instance):
        self.scene, self.instance = scene, instance
        home = str(scene.folder)
        self.resources = {
            "lake": LakeResource(root=f"{home}/lake", leases=f"{home}/leases"),
            "lineage": LineageResource(home=home),
            "snapshots": SnapshotsResource(home=home),
            "machine": MachineResource(threads=2),
        }

    def run(self, session, name, config=None, strategies=STRATEGIES):
        market = self.scene.market
        suites = list(snapshot_checks(market, strategies))
        job = dg.Definitions(
            assets=list(snapshot_assets(market, strategies)),
            asset_checks=suites,
            jobs=[dg.define_asset_job("freeze", selection=dg.AssetSelection.assets(key_of(market, SNAPSHOT)))],
            resources=self.resources,
            executor=dg.in_process_executor,
        ).resolve_job_def("freeze")
        return job.execute_in_process(
            instance=self.instance,
            partition_key=f"{session_key(session)}|{name}",
            run_config=config,
            raise_on_error=False,
        )

    def latest(self):
        (record,) = self.instance.fetch_materializations(key_of(self.scene.market, SNAPSHOT), limit=1).records
        return record.asset_materialization


@pytest.fixture
def graph(tmp_path, published_here):
    shutil.copytree(published_here.folder / "lake", tmp_path / "lake")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Graph(Scene(tmp_path), instance)


def checked(result):
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def test_partitions_are_cutoffs_and_strategies(graph):
    keys = snapshot_partitions(graph.scene.market, STRATEGIES).get_partition_keys()
    assert keys[0] == "2023-01-03|one"
    assert coordinates(keys[1]) == (graph.scene.sessions[0], "two")


def test_a_snapshot_shows_what_it_froze_and_can_be_traced_to_every_session(graph):
    """S1-33, S2-103."""
    cutoff = graph.scene.sessions[-1]
    assert graph.run(cutoff, "one").success
    event = graph.latest()
    store = graph.resources["snapshots"].open()
    document = store.document(event.metadata["train_lineage_id"].value)
    assert event.partition == f"{session_key(cutoff)}|one"
    assert event.tags["dagster/data_version"] == document.id
    tables = [row.data["table"] for row in event.metadata["tables"].records]
    assert tables == ["alpha158", "labels"]
    assert [row.data["part"] for row in event.metadata["split"].records] == ["train", "validation", "holdout"]
    assert event.metadata["samples"].value == load(store, document).samples.size
    assert event.metadata["bytes"].value > 0

    lineage = graph.resources["lineage"].open()
    used = {(each.table, each.session): each.id for each in lineage.ancestors(document.id).contents}
    held = graph.scene.lake.stored("tiny", "alpha158").session_ids()
    window = graph.scene.sessions[-100:]
    assert {key: used[key] for key in used if key[0] == "alpha158"} == {
        ("alpha158", each): held[each] for each in window
    }
    found = lineage.dependents("tiny", window[3], table="alpha158")
    assert [(each.kind, each.id) for each in found.nodes] == [(NodeKind.SNAPSHOT, document.id)]


def test_a_second_run_finds_what_the_first_one_made(graph):
    cutoff = graph.scene.sessions[-1]
    graph.run(cutoff, "one")
    first = graph.latest()
    assert graph.run(cutoff, "one").success
    assert graph.latest().metadata["train_lineage_id"] == first.metadata["train_lineage_id"]
    assert graph.latest().metadata["made"].value.startswith("before")


def test_the_checks_hold_over_two_honest_snapshots(graph):
    """S1-35, S1-67, S1-92: compared within a strategy, never across."""
    for place in (SESSIONS - 2, SESSIONS - 1):
        for name in ("one", "two"):
            result = graph.run(graph.scene.sessions[place], name)
            assert result.success
            assert {each.check_name: each.passed for each in checked(result).values()} == {
                CONSISTENCY: True,
                PARITY: True,
            }
    (row,) = checked(result)[CONSISTENCY].metadata["targets"].records
    assert row.data["target"] == "tiny/two"
    assert "cutoff" in row.data["tolerated"]


def test_strictly_another_cutoff_is_a_mismatch(graph):
    config = {"ops": {"tiny_snapshot_suite": {"config": {"strict": True}}}}
    for place in (SESSIONS - 2, SESSIONS - 1):
        result = graph.run(graph.scene.sessions[place], "one", config)
    found = checked(result)[CONSISTENCY]
    assert not found.passed
    assert "cutoff" in found.metadata["targets"].records[0].data["mismatch_keys"]


def test_other_columns_are_told_with_their_keys(graph):
    graph.run(graph.scene.sessions[-2], "one")
    changed = {**STRATEGIES, "one": strategy(name="one", features=["KMID"], training={"window": {"sessions": 100}})}
    result = graph.run(graph.scene.sessions[-1], "one", strategies=changed)
    found = checked(result)[CONSISTENCY]
    assert result.success
    assert not found.passed
    assert found.metadata["targets"].records[0].data["mismatch_keys"] == "columns, features, configuration"


def test_what_is_missing_fails_with_its_code(graph):
    result = graph.run(graph.scene.sessions[0], "one")
    assert not result.success
    (failure,) = [each for each in result.all_events if each.is_step_failure]
    data = failure.event_specific_data.user_failure_data
    assert data.metadata["code"].value == "QP186"
    assert "Take a later cutoff" in data.description


def test_a_market_without_strategies_has_no_snapshots(graph):
    assert snapshot_assets(graph.scene.market, {}) == []
    assert snapshot_checks(graph.scene.market, {}) == []
