"""When data is fetched: after each close in the market's own zone, and only where the source moved."""

import dagster as dg
import pytest

from quant_pipelines.calendars import parse_session
from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import DataRejected
from quant_pipelines.lake import Window, no_fence
from quant_pipelines.markets import Market
from quant_pipelines.prices import Collector, Publisher
from quant_pipelines.sources import Watermark
from resources.lake import LakeResource
from resources.sources import SourcesResource
from sensors.arrivals import arrival_sensor
from sensors.jobs import MARKET_TAG, WATERMARK_TAG, mark_of
from sensors.refresh import ATTEMPTS, new_sessions, refresh_schedule
from tests.bars import WRITER
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


def ended(instance: dg.DagsterInstance, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
    """The run that the request asked for, and how it ended."""
    instance.create_run_for_job(dg.job(name="j")(lambda: None), tags=request.tags, status=status)


def test_a_failed_refresh_is_tried_again_a_few_times_and_then_waits_for_a_person(tmp_path, instance, resources):
    write(tmp_path / "us", "2024-01-02,1,2,1,2,10")
    entry = files_market(tmp_path / "us")
    keys = set()
    for _ in range(ATTEMPTS):
        (request,) = new_sessions(instance, entry, *resources)
        keys.add(request.run_key)
        ended(instance, request, dg.DagsterRunStatus.FAILURE)
    assert len(keys) == ATTEMPTS
    (skip,) = new_sessions(instance, entry, *resources)
    assert "See the incidents table" in skip.skip_message


def test_a_file_that_cannot_be_read_fails_the_tick_in_the_open(tmp_path, instance, resources):
    (tmp_path / "us").mkdir()
    (tmp_path / "us" / "AAA.csv").write_text("nothing,of,use\n1,2,3\n")
    with pytest.raises(DataRejected, match=r"AAA\.csv"):
        list(new_sessions(instance, files_market(tmp_path / "us"), *resources))


def test_a_bar_that_was_there_before_its_close_is_new_after_it():
    watermark = Watermark(last_session=parse_session("2024-06-28"), token="same")
    before, after = (mark_of(watermark, parse_session(day)) for day in ("2024-06-27", "2024-06-28"))
    assert before != after


def tick(entry: Market, instance, resources, cursor=None):
    """What the daemon would do: the runs asked for, or why none, and where the cursor then stands."""
    lake, sources = resources
    sensor = arrival_sensor(entry)
    given = {"sources": sources, "lake": lake}
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=given) as context:
        data = sensor.evaluate_tick(context)
    return data.run_requests, data.skip_message, data.cursor or cursor


def fetched(entry: Market, resources) -> None:
    """Collect and publish all that the source has now, as the run would."""
    lake, sources = resources
    answering = sources.answering(entry)
    collector = Collector(market=entry, answering=answering, lake=lake.open(), clock=SystemClock())
    publisher = Publisher(
        market=entry, listings=answering.source.listings(), prices_are_raw=True, lake=lake.open(), clock=SystemClock()
    )
    last = answering.source.watermark().last_session
    assert last is not None
    window = Window(entry.begins, last)
    collector.collect(window, writer=WRITER, fence=no_fence)
    publisher.publish(window, writer=WRITER, fence=no_fence)


def test_exactly_the_sessions_that_changed_in_a_file_are_fetched_again(tmp_path, instance, resources):
    """Vendors restate history; a new day must not cost all the years before it."""
    folder = tmp_path / "us"
    days = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]
    write(folder, *(f"{day},1,2,1,2,10" for day in days[:3]))
    entry = files_market(folder)
    (first,), _, cursor = tick(entry, instance, resources)
    assert first.tags["dagster/asset_partition_range_start"] == days[0]
    assert first.tags["dagster/asset_partition_range_end"] == days[2]
    fetched(entry, resources)
    again, why, _ = tick(entry, instance, resources, cursor)
    assert not again
    assert "have not changed" in why
    write(folder, f"{days[0]},1,2,1,1.5,10", *(f"{day},1,2,1,2,10" for day in days[1:]))
    requests, _, moved = tick(entry, instance, resources, cursor)
    spans = [each.tags["dagster/asset_partition_range_start"] for each in requests]
    assert spans == [days[0], days[3]]
    assert moved != cursor


def test_a_long_history_is_one_run(tmp_path, instance, resources):
    days = [f"{2023 + index // 12}-{index % 12 + 1:02d}-17,1,2,1,2,10" for index in range(18)]  # far apart
    write(tmp_path / "us", *days)
    entry = files_market(tmp_path / "us", first_session="2023-01-03")
    (request,), _, _ = tick(entry, instance, resources)
    assert request.tags["dagster/asset_partition_range_start"] == "2023-01-17"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-06-17"
    assert request.tags[MARKET_TAG] == "us"
    assert request.tags[WATERMARK_TAG] in request.run_key
