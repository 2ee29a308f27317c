"""A backfill over three years, launched through the UI's own GraphQL API."""

import pytest

from quant_pipelines.calendars import calendar_named, parse_session
from quant_pipelines.cli.project import open_lake
from quant_pipelines.lake.tables import PRICES, RAW_BARS

FIRST, LAST = "2021-01-04", "2023-12-29"
RUNS = """
query Runs($backfill: String!) {
  runsOrError(filter: {tags: [{key: "dagster/backfill", value: $backfill}]}) {
    ... on Runs { results { status assetSelection { path } } }
  }
}
"""


@pytest.mark.timeout(600)
def test_three_years_end_green_in_one_run(installation, backfill):
    backfill_id, end = backfill
    sessions = calendar_named("XSHG").sessions(parse_session(FIRST), parse_session(LAST))
    assert (end.status, end.failed) == ("COMPLETED_SUCCESS", 0)
    assert end.succeeded == end.partitions == 2 * len(sessions)
    runs = installation.api.ask(RUNS, {"backfill": backfill_id})["runsOrError"]["results"]
    assert [run["status"] for run in runs] == ["SUCCESS"]


@pytest.mark.timeout(600)
def test_the_lake_holds_every_session_of_it(installation, backfill):
    lake = open_lake(installation.settings)
    sessions = calendar_named("XSHG").sessions(parse_session(FIRST), parse_session(LAST))
    for schema in (RAW_BARS, PRICES):
        assert sorted(lake.table("demo", schema).session_ids()) == sessions


VERSIONS = """
query Versions {
  assetNodeOrError(assetKey: {path: ["demo", "prices"]}) {
    ... on AssetNode {
      assetMaterializations(limit: 1000) { partition tags { key value } }
      staleStatusByPartition(partitions: ["2022-03-01", "2023-03-01"])
    }
  }
}
"""


@pytest.mark.timeout(600)
def test_dagster_shows_the_content_ids_as_data_versions(installation, backfill):
    """Each session has its own, also when a run held a whole year of them, and nothing looks stale."""
    node = installation.api.ask(VERSIONS)["assetNodeOrError"]
    shown = {
        event["partition"]: next(tag["value"] for tag in event["tags"] if tag["key"] == "dagster/data_version")
        for event in node["assetMaterializations"]
    }
    ids = open_lake(installation.settings).table("demo", PRICES).session_ids()
    assert {parse_session(partition): version for partition, version in shown.items()} == ids
    assert node["staleStatusByPartition"] == ["FRESH", "FRESH"]
