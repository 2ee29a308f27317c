"""Runs that are launched at once: what the demo does."""

import pytest

from quant_pipelines.cli.dagster_api import DagsterRefused
from quant_pipelines.cli.project import open_lake
from quant_pipelines.lake.tables import PRICES
from tests.end_to_end.screens import keep, see

FIRST, LAST = "2021-01-04", "2023-12-29"
JOB = "build_demo"
TABLES = ("raw_bars", "prices", "indicators", "alpha158", "custom_features", "factor_report", "labels")
# It was 39 before events were written together; a busy machine needs five times the three of a quiet one.
SECONDS_TO_THE_FIRST_STEP = 20
TIMES = """
query Times($id: ID!) {
  runOrError(runId: $id) { ... on Run { creationTime stepStats { stepKey startTime } } }
}
"""


@pytest.fixture(scope="module")
def build(installation):
    """Everything that the market has, over three years in one run: how far it was said to be, and how it ended."""
    run_id = installation.api.launch_run(JOB, first=FIRST, last=LAST)
    seen: list[int] = []
    end = installation.api.follow_run(run_id, tell=lambda step: seen.append(step.materialized))
    return run_id, seen, end


@pytest.mark.timeout(600)
def test_three_years_of_everything_are_one_run_that_starts_within_seconds(installation, build):
    run_id, seen, end = build
    sessions = open_lake(installation.settings).table("demo", PRICES).session_ids()
    states = installation.api.states(JOB)
    assert {state.asset for state in states} == {("demo", name) for name in TABLES}
    assert (end.status, end.materialized) == ("SUCCESS", len(states) * len(sessions))
    assert seen == sorted(seen)
    times = installation.api.ask(TIMES, {"id": run_id})["runOrError"]
    began = min(step["startTime"] for step in times["stepStats"])
    assert began - times["creationTime"] < SECONDS_TO_THE_FIRST_STEP


@pytest.mark.timeout(600)
def test_afterwards_nothing_of_it_is_missing(installation, build):
    for state in installation.api.states(JOB):
        assert not any(state.lacks(key) for key in (FIRST, "2022-06-30", LAST)), state
        assert state.lacks("2024-01-02")


@pytest.mark.browser
@pytest.mark.timeout(600)
def test_a_feature_table_and_the_report_are_seen(installation, build, page):
    address = installation.settings.dagster_address
    page.goto(f"{address}/locations/quant_pipelines/asset-groups/features/lineage")
    see(page, "alpha158", "indicators", "custom_features", "factor_report")
    keep(page, "features-lineage")
    page.goto(f"{address}/assets/demo/alpha158?view=partitions&partition=2023-06-01")
    see(page, "coverage", "computed", "data_version")
    keep(page, "features-partition")
    page.goto(f"{address}/assets/demo/alpha158?view=checks")
    see(page, "past_does_not_change", "no_infinities", "coverage")
    keep(page, "features-checks")
    page.goto(f"{address}/assets/demo/factor_report?view=partitions&partition=2023-12-29")
    see(page, "strongest", "clusters", "tear_sheet", "cumulative_rank_ic")
    keep(page, "report-partition")


def test_a_job_that_does_not_exist_makes_nothing(installation):
    with pytest.raises(DagsterRefused, match="no job build_nothing"):
        installation.api.states("build_nothing")


def test_a_job_that_does_not_exist_is_refused(installation):
    with pytest.raises(DagsterRefused, match="refused the run of refresh_nothing"):
        installation.api.launch_run("refresh_nothing", first=FIRST, last=LAST)


def test_a_run_that_does_not_exist_is_refused(installation):
    with pytest.raises(DagsterRefused, match="00000000"):
        installation.api.run("00000000-0000-0000-0000-000000000000")
