"""A failed run is one incident, and so is a tick that fails, as Dagster's own daemon evaluates the sensors."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.sensor import execute_sensor_iteration

from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Lake
from quant_pipelines.lake.tables import INCIDENTS
from quant_pipelines.monitoring import Incident, incidents, record_incident
from resources.lake import LakeResource
from sensors.incidents import record_failed_runs

PROJECT = Path(__file__).parents[3]
NOON = datetime(2024, 6, 3, 12, tzinfo=UTC)
GRAPH = """
import dagster as dg
from quant_pipelines.settings import Settings
from resources import project_resources
from sensors.arrivals import arrival_sensor
from sensors.incidents import record_failed_runs, record_failed_ticks
from sensors.jobs import refresh_job
from tests.bars import market
from assets.prices import price_assets

us = market(
    name="us", calendar="XNYS", rules="us_equity", missing_bar="gap", source={"kind": "files", "path": "FOLDER"}
)
defs = dg.Definitions(
    assets=list(price_assets(us)),
    jobs=[refresh_job(us)],
    sensors=[arrival_sensor(us), record_failed_runs, record_failed_ticks],
    resources=project_resources(Settings()),
)
"""


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("QP_PROJECT", str(PROJECT))
    monkeypatch.setenv("QP_HOME", str(tmp_path))
    with dg.instance_for_test(temp_dir=str(tmp_path)) as made:
        yield made


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), clock=SystemClock())


def rows(lake: Lake) -> list[dict[str, object]]:
    return incidents(lake).to_pylist()


@dg.op
def breaks() -> None:
    raise dg.Failure("The source said nothing.", metadata={"code": "QP203"}, allow_retries=False)


@dg.job
def refresh_us() -> None:
    breaks()


def failed_run(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return refresh_us.execute_in_process(instance=instance, raise_on_error=False)


def look(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult, home: Path) -> None:
    """As the daemon evaluates the sensor for one failed run."""
    resource = LakeResource(root=str(home / "lake"), leases=str(home / "leases"))
    built = dg.build_run_status_sensor_context(
        sensor_name="record_failed_runs",
        dagster_event=result.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        resources={"lake": resource},
    )
    with built.for_run_failure() as context:
        record_failed_runs(context)


def test_a_failed_run_is_one_incident_however_often_it_is_looked_at(instance, lake, tmp_path):
    first = failed_run(instance)
    look(instance, first, tmp_path)
    (row,) = rows(lake)
    assert (row["run_id"], row["job"], row["step"]) == (first.run_id, "refresh_us", "breaks")
    assert (row["code"], row["message"]) == ("QP203", "The source said nothing.")
    look(instance, first, tmp_path)
    assert rows(lake) == [row]
    second = failed_run(instance)
    look(instance, second, tmp_path)
    assert {each["run_id"] for each in rows(lake)} == {first.run_id, second.run_id}


@dg.asset_check(asset="bars", blocking=True)
def null_price() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False)


@dg.op
def divides() -> float:
    return 1 / 0


def test_a_check_that_blocks_and_a_bug_are_told_by_their_own_words(instance, lake, tmp_path):
    """Not by how many steps failed."""

    @dg.job
    def buggy() -> None:
        divides()

    bars = dg.asset(name="bars")(lambda: None)
    graph = dg.Definitions([bars], jobs=[dg.define_asset_job("build_us", "*")], asset_checks=[null_price])
    for job in (graph.resolve_job_def("build_us"), buggy):
        look(instance, job.execute_in_process(instance=instance, raise_on_error=False), tmp_path)
    told = {row["job"]: row["message"] for row in rows(lake)}
    assert "null_price" in told["build_us"]
    assert "division by zero" in told["buggy"]


def test_an_incident_is_of_the_moment_at_which_its_run_ended(instance, lake, tmp_path):
    """Looked at again after midnight, it is not a second one."""
    result = failed_run(instance)
    look(instance, result, tmp_path)
    ended = instance.get_run_record_by_id(result.run_id).end_time
    assert [each["seen_at"].timestamp() for each in rows(lake)] == [pytest.approx(ended)]


def test_an_incident_that_is_known_is_not_written_again(lake):
    incident = Incident(run_id="r1", job="refresh_us", step=None, code="QP203", message="Broken.", seen_at=NOON)
    for _ in range(3):
        record_incident(lake, incident)
    (row,) = rows(lake)
    assert (row["run_id"], row["code"], row["message"], row["seen_at"]) == ("r1", "QP203", "Broken.", NOON)
    assert len(lake.table("operations", INCIDENTS).history()) == 2, "the table was made, and written once"


class Daemon:
    """Dagster's own loop over the sensors, one look at a time, on a clock that is moved by hand."""

    def __init__(self, workspace, instance: dg.DagsterInstance) -> None:
        self.workspace = workspace
        self.instance = instance
        self.now = datetime.now(UTC)

    def look(self) -> None:
        self.now += timedelta(seconds=61)
        with freeze_time(self.now):
            for error in execute_sensor_iteration(self.workspace, logging.getLogger("daemon"), None, None):
                assert error is None or "files_of_us" in str(error) or "evaluation_fn" in str(error), error


@pytest.fixture
def daemon(instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """The project's sensors in a code server of their own."""
    graph = tmp_path / "graph.py"
    graph.write_text(GRAPH.replace("FOLDER", str(tmp_path / "us")), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    target = PythonFileTarget(str(graph), None, str(PROJECT), "graph")
    with create_test_daemon_workspace_context(target, instance) as workspace:
        yield Daemon(workspace, instance)


def write(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "AAA.csv").write_text(text, encoding="utf-8")


BROKEN = "nothing,of,use\n1,2,3\n"
GOOD = "date,open,high,low,close,volume\n2024-01-02,1,2,1,2,10\n"


@pytest.mark.timeout(300)
def test_a_source_that_cannot_be_read_is_one_incident_until_it_fails_in_another_way(daemon, lake, tmp_path):
    write(tmp_path / "us", GOOD)
    daemon.look()
    daemon.look()
    assert rows(lake) == [], "the control: what works is no incident"
    write(tmp_path / "us", BROKEN)
    for _ in range(4):
        daemon.look()
    (row,) = rows(lake)
    assert row["job"] == "files_of_us"
    assert row["code"].startswith("QP21")
    assert "AAA.csv" in row["message"]
    assert row["run_id"].startswith("tick-")
    (tmp_path / "us" / "BBB.csv").write_bytes(b"")
    (tmp_path / "us" / "AAA.csv").unlink()
    daemon.look()
    daemon.look()
    first, second = rows(lake)
    assert row in (first, second)
    assert {"AAA.csv" in each["message"] for each in (first, second)} == {True, False}
