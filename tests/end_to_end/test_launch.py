"""Runs that are launched at once: what the demo does."""

import pytest

from quant_pipelines.calendars import session_key
from quant_pipelines.cli.dagster_api import DagsterRefused
from quant_pipelines.cli.project import open_lake
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.registry import open_models
from quant_pipelines.snapshots import open_snapshots
from tests.end_to_end.screens import keep, see
from tests.end_to_end.trainings import Watched, backfill, launch

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

LABELS_OF_EVENTS = """
query Labels($asset: String!, $session: String!) {
  assetOrError(assetKey: {path: ["demo", $asset]}) {
    ... on Asset { assetMaterializations(partitions: [$session]) { metadataEntries { label } } }
  }
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


def labels_of_events(installation, asset: str, session: str) -> set[str]:
    """What any materialisation of the session has told."""
    asked = installation.api.ask(LABELS_OF_EVENTS, {"asset": asset, "session": session})
    events = asked["assetOrError"]["assetMaterializations"]
    return {entry["label"] for event in events for entry in event["metadataEntries"]}


@pytest.mark.browser
@pytest.mark.timeout(600)
def test_a_feature_table_and_the_report_are_seen(installation, build, page):
    address = installation.settings.dagster_address
    page.goto(f"{address}/locations/quant_pipelines/asset-groups/features/lineage")
    see(page, "alpha158", "indicators", "custom_features", "factor_report")
    keep(page, "features-lineage")
    page.goto(f"{address}/assets/demo/alpha158?view=partitions&partition=2023-06-01")
    # Where the daemon has followed another test's prices first, the build finds the session fresh and says so.
    see(page, "coverage|no, it was fresh", "computed", "data_version")
    assert "coverage" in labels_of_events(installation, "alpha158", "2023-06-01")
    keep(page, "features-partition")
    page.goto(f"{address}/assets/demo/alpha158?view=checks")
    see(page, "past_does_not_change", "no_infinities", "coverage")
    keep(page, "features-checks")
    page.goto(f"{address}/assets/demo/factor_report?view=partitions&partition={LAST}")
    see(page, "strongest|no, it was fresh", "computed", "data_version")
    report = labels_of_events(installation, "factor_report", LAST)
    assert {"strongest", "clusters", "tear_sheet", "cumulative_rank_ic"} <= report
    keep(page, "report-partition")


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_snapshots_are_backfilled_over_sessions_and_strategies_at_once(installation, build):
    """As one picks them in the UI's dialog: two sessions by two strategies are four frozen snapshots."""
    sessions, strategies = ["2023-10-31", "2023-11-30"], ["demo_lightgbm", "demo_linear"]
    end = backfill(installation, "snapshot", sessions, strategies)
    assert (end.status, end.partitions, end.succeeded) == ("COMPLETED_SUCCESS", 4, 4)
    store = open_snapshots(installation.settings)
    found = {(session_key(each.recipe.cutoff), each.recipe.strategy) for each in store.documents()}
    assert found >= {(session, strategy) for session in sessions for strategy in strategies}


STRATEGY = "demo_lightgbm"
# A quarter of an hour and more, so that nothing but a person ends it.
LONG = {"lightgbm": {"num_boost_round": 100_000, "early_stopping_rounds": 100_000}}
SHORT = {"lightgbm": {"num_boost_round": 3}}


@pytest.mark.browser
@pytest.mark.timeout(600)
def test_a_training_is_watched_live_in_mlflow_and_stopped_in_dagster(installation, build, page):
    """S2-26, S2-46, S2-47: nothing of it is kept, and the same partition can be trained afterwards."""
    settings = installation.settings
    run_id = launch(installation, STRATEGY, LAST, "snapshot", "model", values=LONG)
    watched = Watched(settings.mlflow_address, run_id)
    seen = watched.await_step(1)
    page.goto(watched.page(seen))
    see(page, "progress_percent", "remaining_seconds", "validation_l2")
    keep(page, "training-live")
    later = watched.await_step(watched.step(seen) + 1)
    assert later["info"]["status"] == "RUNNING"

    page.goto(f"{settings.dagster_address}/runs/{run_id}")
    page.get_by_role("button", name="Terminate").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    assert installation.api.follow_run(run_id, tell=lambda _: None).status == "CANCELED"
    keep(page, "training-stopped")
    watched.await_status("KILLED")
    store = open_models(settings, clock=SystemClock())
    assert store.versions(f"demo.{STRATEGY}") == []
    assert not list((settings.home_path / "trainings").glob("*"))

    again = launch(installation, STRATEGY, LAST, "model", values=SHORT)
    assert installation.api.follow_run(again, tell=lambda _: None).status == "SUCCESS"
    Watched(settings.mlflow_address, again).await_status("FINISHED")
    assert len(store.versions(f"demo.{STRATEGY}")) == 1
    page.goto(f"{settings.dagster_address}/assets/demo/model?view=partitions&partition={LAST}|{STRATEGY}")
    see(page, "training_seconds", "validation_ic", "strongest_features")
    keep(page, "training-report")


def test_a_job_that_does_not_exist_makes_nothing(installation):
    with pytest.raises(DagsterRefused, match="no job build_nothing"):
        installation.api.states("build_nothing")


def test_a_job_that_does_not_exist_is_refused(installation):
    with pytest.raises(DagsterRefused, match="refused the run of refresh_nothing"):
        installation.api.launch_run("refresh_nothing", first=FIRST, last=LAST)


def test_a_run_that_does_not_exist_is_refused(installation):
    with pytest.raises(DagsterRefused, match="00000000"):
        installation.api.run("00000000-0000-0000-0000-000000000000")
