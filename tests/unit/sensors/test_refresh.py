"""When data is fetched: after each close in the market's own zone, and only where the source moved."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Lake
from quant_pipelines.markets import Market
from resources.lake import LakeResource
from resources.sources import SourcesResource
from sensors.arrivals import arrival_sensor
from sensors.jobs import MARKET_TAG, WATERMARK_TAG
from sensors.refresh import new_sessions, refresh_schedule
from tests.bars import market as synthetic


def files_market(folder, **changes) -> Market:
    source = {"kind": "files", "path": str(folder)}
    entry = {"source": source, "missing_bar": "gap", "rules": "us_equity", "calendar": "XNYS", "name": "us"}
    return synthetic(**(entry | changes))


def write(folder, *lines: str, name: str = "AAA.csv") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(["date,open,high,low,close,volume", *lines]) + "\n")


@pytest.fixture
def resources(tmp_path) -> tuple[LakeResource, SourcesResource]:
    return LakeResource(root=str(tmp_path / "lake"), leases=str(tmp_path / "leases")), SourcesResource()


@pytest.fixture
def instance(tmp_path, monkeypatch):
    monkeypatch.setenv("QP_PROJECT", str(tmp_path))
    with dg.instance_for_test(temp_dir=str(tmp_path)) as made:
        yield made


@pytest.mark.parametrize(
    ("calendar", "rules", "cron", "zone"),
    [
        ("XSHG", "a_share", "30 15 * * 1,2,3,4,5", "Asia/Shanghai"),
        ("XNYS", "us_equity", "30 16 * * 1,2,3,4,5", "America/New_York"),
        ("24/7", "crypto", "5 * * * *", "UTC"),
    ],
)
def test_the_refresh_follows_the_close_in_the_markets_own_zone(calendar, rules, cron, zone):
    """X-39: hourly where the market never closes."""
    schedule = refresh_schedule(synthetic(calendar=calendar, rules=rules))
    assert (schedule.cron_schedule, schedule.execution_timezone) == (cron, zone)


def test_new_files_ask_for_exactly_their_sessions_once(tmp_path, instance, resources):
    write(tmp_path / "us", "2024-01-02,1,2,1,2,10", "2024-01-03,1,2,1,2,10", "2024-01-04,1,2,1,2,10")
    entry = files_market(tmp_path / "us")
    (request,) = new_sessions(instance, entry, *resources)
    assert request.tags["dagster/asset_partition_range_start"] == "2024-01-02"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-01-04"
    instance.create_run_for_job(dg.job(name="j")(lambda: None), tags=request.tags)
    (again,) = new_sessions(instance, entry, *resources)
    assert "did not move" in again.skip_message


def test_a_missing_folder_skips_with_its_remedy(tmp_path, instance, resources):
    (skip,) = new_sessions(instance, files_market(tmp_path / "nowhere"), *resources)
    assert "nowhere" in skip.skip_message


def tick(entry: Market, instance, resources, cursor=None):
    """What the daemon would do: the runs asked for, or why none, and where the cursor then stands."""
    _, sources = resources
    sensor = arrival_sensor(entry)
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"sources": sources}) as context:
        data = sensor.evaluate_tick(context)
    return data.run_requests, data.skip_message, data.cursor or cursor


def test_a_changed_file_is_read_again_from_the_first_session(tmp_path, instance, resources):
    """Vendors restate history, so a file that changed is read as a whole."""
    folder = tmp_path / "us"
    write(folder, "2024-01-02,1,2,1,2,10", "2024-01-03,1,2,1,2,10")
    entry = files_market(folder)
    first, _, cursor = tick(entry, instance, resources)
    assert [each.tags["dagster/asset_partition_range_start"] for each in first] == ["2024-01-02"]
    again, why, _ = tick(entry, instance, resources, cursor)
    assert not again
    assert "have not changed" in why
    write(folder, "2024-01-02,1,2,1,1.5,10", "2024-01-03,1,2,1,2,10", "2024-01-04,1,2,1,2,10")
    (request,), _, moved = tick(entry, instance, resources, cursor)
    assert request.tags["dagster/asset_partition_range_start"] == "2024-01-02"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-01-04"
    assert moved != cursor


def test_a_long_history_is_one_run(tmp_path, instance, resources):
    days = [f"{2023 + index // 12}-{index % 12 + 1:02d}-17,1,2,1,2,10" for index in range(18)]
    write(tmp_path / "us", *days)
    entry = files_market(tmp_path / "us", first_session="2023-01-03")
    (request,), _, _ = tick(entry, instance, resources)
    assert request.tags["dagster/asset_partition_range_start"] == "2023-01-03"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-06-17"
    assert request.tags[MARKET_TAG] == "us"
    assert request.tags[WATERMARK_TAG] in request.run_key


def test_a_failed_run_becomes_one_incident(tmp_path):
    from quant_pipelines.monitoring import Incident, incidents, record_incident

    lake = Lake(str(tmp_path), clock=SystemClock())
    incident = Incident(
        run_id="r1", job="refresh_us", step="us__prices", code="QP203", message="Broken.",
        seen_at=datetime(2024, 6, 3, 12, tzinfo=UTC),
    )  # fmt: skip
    record_incident(lake, incident)
    record_incident(lake, incident)
    (row,) = incidents(lake).to_pylist()
    assert (row["run_id"], row["code"], row["message"]) == ("r1", "QP203", "Broken.")
