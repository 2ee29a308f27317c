"""Events written together say what events written one by one say, on SQLite and on a real PostgreSQL."""

import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.partitions import session_partitions
from quant_pipelines.settings import Settings, child_environment
from tests.bars import market

PROJECT = Path(__file__).parents[3]
DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
RANGE = {"dagster/asset_partition_range_start": "2024-03-01", "dagster/asset_partition_range_end": "2024-03-29"}
SESSIONS_OF_RANGE = 21
DATA_VERSION = "dagster/data_version"
# One for all examples: a new run is a new file, which takes longer than everything else here.
RUN = str(uuid.uuid4())


@pytest.fixture(params=DATABASES)
def instance(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    for name, value in {"QP_PROJECT": str(PROJECT), "DAGSTER_HOME": str(PROJECT), "QP_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("QP_DATABASE_URL", raising=False)
    if request.param == "postgres":
        monkeypatch.setenv("QP_DATABASE_URL", request.getfixturevalue("new_database")())
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with dg.DagsterInstance.get() as made:
        yield made


@pytest.fixture(scope="module")
def oracle() -> Iterator[dg.DagsterInstance]:
    """Dagster's own storage, in memory."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@dg.asset(partitions_def=session_partitions(market()))
def bars() -> None: ...


@dg.asset_check(asset=bars)
def holds() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


HOLDS = dg.AssetCheckKey(bars.key, "holds")
GRAPH = dg.Definitions(assets=[bars], asset_checks=[holds], jobs=[dg.define_asset_job("all_of_it")])


def stored(run_id: str, asset: str, partition: str, version: str) -> EventLogEntry:
    event = dg.AssetMaterialization(asset, partition=partition, tags={DATA_VERSION: version})
    return EventLogEntry(
        error_info=None,
        level=20,
        user_message="",
        run_id=run_id,
        timestamp=time.time(),
        dagster_event=DagsterEvent(
            DagsterEventType.ASSET_MATERIALIZATION.value, "job", event_specific_data=StepMaterializationData(event)
        ),
    )


def told(instance: dg.DagsterInstance, run_id: str, assets: Sequence[str]) -> list[object]:
    """Everything that the UI and automation can ask about these assets and their run."""
    logged = [each for each in instance.all_logs(run_id) if each.get_dagster_event().asset_key.path[0] in assets]
    answers: list[object] = [sorted(str(each.dagster_event) for each in logged)]
    for key in map(dg.AssetKey, assets):
        records = instance.fetch_materializations(key, limit=100).records
        answers.append([(each.partition_key, each.asset_materialization.tags) for each in records])
        answers.append(instance.get_materialized_partitions(key))
        answers.append([tags.get(DATA_VERSION) for tags in instance.get_event_tags_for_asset(key)])
        latest = instance.get_latest_materialization_event(key)
        answers.append(latest and latest.asset_materialization.partition)
        answers += [each.asset_entry.last_run_id for each in instance.get_asset_records([key])]
    return answers


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["p", "q", "r"]), st.text("0123456789abcdef", min_size=1)),
        min_size=1,
        max_size=5,
    )
)
def test_events_stored_together_tell_what_events_stored_one_by_one_tell(instance, oracle, events):
    example = uuid.uuid4()
    entries = [stored(RUN, f"{asset}_{example}", partition, version) for asset, partition, version in events]
    assets = sorted({f"{asset}_{example}" for asset, _, _ in events})
    for entry in entries:
        oracle.event_log_storage.store_event(entry)
    instance.event_log_storage.store_event_batch(entries)
    assert told(instance, RUN, assets) == told(oracle, RUN, assets)


def test_what_may_not_be_batched_is_stored_all_the_same(instance):
    run_id = str(uuid.uuid4())
    line = stored(run_id, "a", "p", "1")._replace(dagster_event=None, user_message="a line of the log")
    instance.event_log_storage.store_event_batch([line, stored(run_id, "a", "p", "1")])
    assert len(instance.all_logs(run_id)) == 2
    assert instance.get_materialized_partitions(dg.AssetKey("a")) == {"p"}


def test_a_check_is_planned_once_and_its_plan_is_closed_by_its_result(instance):
    """Nothing may look unfinished for ever."""
    assert GRAPH.resolve_job_def("all_of_it").execute_in_process(instance=instance, tags=RANGE).success
    (record,) = instance.event_log_storage.get_asset_check_execution_history(HOLDS, limit=100)
    assert record.status is AssetCheckExecutionRecordStatus.SUCCEEDED


def test_stock_dagster_plans_it_for_every_session_and_leaves_the_plans_open(tmp_path):
    """The control: once this fails, Dagster has mended it, and resources/events.py may shrink."""
    with dg.instance_for_test(temp_dir=str(tmp_path)) as stock:
        assert GRAPH.resolve_job_def("all_of_it").execute_in_process(instance=stock, tags=RANGE).success
        history = stock.event_log_storage.get_asset_check_execution_history(HOLDS, limit=100)
    planned = [each for each in history if each.status is AssetCheckExecutionRecordStatus.PLANNED]
    assert len(planned) == SESSIONS_OF_RANGE


def test_every_session_of_a_run_is_planned_so_that_a_failed_one_can_be_seen(instance):
    run = instance.create_run_for_job(GRAPH.resolve_job_def("all_of_it"), tags=RANGE)
    planned = [
        each.get_dagster_event().partition
        for each in instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    ]
    assert len(planned) == len(set(planned)) == SESSIONS_OF_RANGE
    instance.report_run_failed(run)
    failed = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations
    assert set(failed(bars.key)) == set(planned)


def test_a_run_over_three_thousand_partitions_is_made_in_seconds(instance):
    """It took Dagster's own storage half a minute for a tenth of the checks."""

    @dg.asset(partitions_def=dg.DailyPartitionsDefinition(datetime(2015, 1, 1)))
    def daily() -> None: ...

    job = dg.Definitions(assets=[daily], jobs=[dg.define_asset_job("days")]).resolve_job_def("days")
    tags = {"dagster/asset_partition_range_start": "2015-01-01", "dagster/asset_partition_range_end": "2023-03-19"}
    begin = time.perf_counter()
    run = instance.create_run_for_job(job, tags=tags)
    assert time.perf_counter() - begin < 10
    assert len(instance.all_logs(run.run_id)) == 3000


def test_every_process_of_the_project_hands_its_events_over_together(monkeypatch):
    monkeypatch.setenv("QP_PROJECT", str(PROJECT))
    size = child_environment(Settings())["DAGSTER_EVENT_BATCH_SIZE"]
    assert int(size) > 1
    assert f"export DAGSTER_EVENT_BATCH_SIZE={size}\n" in (PROJECT / "docker" / "entry.sh").read_text(encoding="utf-8")
