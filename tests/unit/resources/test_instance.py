"""The project's Dagster instance, on SQLite and on a real PostgreSQL: the same laws on both."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.checks.prices import price_checks
from assets.keys import PRICES, RAW_BARS, key_of
from assets.prices import price_assets
from quant_pipelines.settings import Settings
from resources import project_resources
from sensors.jobs import refresh_job, refresh_job_name
from tests.bars import market

PROJECT = Path(__file__).parents[3]
DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=DATABASES)
def instance(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("QP_PROJECT", str(PROJECT))
    monkeypatch.setenv("QP_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(PROJECT))
    monkeypatch.delenv("QP_DATABASE_URL", raising=False)
    if request.param == "postgres":
        monkeypatch.setenv("QP_DATABASE_URL", request.getfixturevalue("new_database")())
    with dg.DagsterInstance.get() as made:
        yield made


def test_the_database_is_the_one_that_was_asked_for(instance, request):
    """X-27: SQLite by default, PostgreSQL by setting one URL."""
    kind = request.node.callspec.params["instance"]
    assert kind in type(instance.run_storage).__module__
    assert kind in type(instance.event_log_storage).__module__
    assert kind in type(instance.schedule_storage).__module__


def test_the_instance_survives_being_handed_to_another_process(instance):
    """Runs are launched with a reference to the instance, which must lead to the same database."""
    run = instance.create_run_for_job(dg.job(name="j")(lambda: None))
    with dg.DagsterInstance.from_ref(instance.get_ref()) as same:
        assert same.get_run_by_id(run.run_id) is not None


def test_everything_written_lies_under_the_home(instance, tmp_path):
    """S4-47: absolute, whoever starts the process."""
    assert instance.storage_directory().startswith(str(tmp_path))
    assert str(tmp_path) in instance.compute_log_manager.get_captured_local_path(["run", "step"], "out")
    assert not (PROJECT / "history").exists()


def test_the_policies_of_the_instance_are_in_force(instance):
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_max_runtime_seconds == 7200
    assert (instance.run_retries_enabled, instance.run_retries_max_retries) == (True, 1)
    assert not instance.telemetry_enabled
    assert instance.get_concurrency_config().pool_config.default_pool_limit == 1


def test_a_range_of_sessions_is_materialised_checked_and_remembered(instance):
    entry = market(
        name="tiny", first_session="2024-01-02", source={"kind": "synthetic", "seed": 7, "symbols": 5, "sectors": 1}
    )
    definitions = dg.Definitions(
        assets=list(price_assets(entry)),
        asset_checks=list(price_checks(entry)),
        jobs=[refresh_job(entry)],
        resources=project_resources(Settings()),
        executor=dg.in_process_executor,
    )
    tags = {"dagster/asset_partition_range_start": "2024-01-02", "dagster/asset_partition_range_end": "2024-01-12"}
    job = definitions.resolve_job_def(refresh_job_name(entry))
    result = job.execute_in_process(instance=instance, tags=tags)
    assert result.success
    for table in (RAW_BARS, PRICES):
        partitions = instance.get_materialized_partitions(key_of(entry, table))
        assert len(partitions) == 9
    assert all(check.passed for check in result.get_asset_check_evaluations() if check.blocking)
