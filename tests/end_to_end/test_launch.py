"""Runs that are launched at once: what the demo does."""

import pytest

from quant_pipelines.cli.dagster_api import DagsterRefused
from quant_pipelines.cli.project import open_lake
from quant_pipelines.lake.tables import PRICES

FIRST, LAST = "2021-01-04", "2023-12-29"
SECONDS_TO_THE_FIRST_STEP = 10
TIMES = """
query Times($id: ID!) {
  runOrError(runId: $id) { ... on Run { creationTime stepStats { stepKey startTime } } }
}
"""


@pytest.mark.timeout(600)
def test_the_first_step_of_a_run_over_three_years_starts_within_seconds(installation):
    run_id = installation.api.launch_run("refresh_demo", first=FIRST, last=LAST)
    seen: list[int] = []
    end = installation.api.follow_run(run_id, tell=lambda step: seen.append(step.materialized))
    sessions = open_lake(installation.settings).table("demo", PRICES).session_ids()
    assert (end.status, end.materialized) == ("SUCCESS", 2 * len(sessions))
    assert seen == sorted(seen)
    times = installation.api.ask(TIMES, {"id": run_id})["runOrError"]
    began = min(step["startTime"] for step in times["stepStats"])
    assert began - times["creationTime"] < SECONDS_TO_THE_FIRST_STEP


def test_a_job_that_does_not_exist_is_refused(installation):
    with pytest.raises(DagsterRefused, match="refused the run of refresh_nothing"):
        installation.api.launch_run("refresh_nothing", first=FIRST, last=LAST)


def test_a_run_that_does_not_exist_is_refused(installation):
    with pytest.raises(DagsterRefused, match="00000000"):
        installation.api.run("00000000-0000-0000-0000-000000000000")
