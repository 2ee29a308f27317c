"""Trainings as a person launches and watches them: by Dagster's launchpad and MLflow's own API."""

import json
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quant_pipelines.cli.dagster_api import LOCATION, BackfillProgress, DagsterRefused, training_partition
from tests.installation import Installation

WAIT_SECONDS = 120
MARKET = "demo"
_LAUNCH = """
mutation Train($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
  }
}
"""


def launch(
    installation: Installation, strategy: str, session: str, *assets: str, values: Mapping[str, Mapping[str, Any]]
) -> str:
    """Materialise some assets of one strategy's partition, with hyper-parameters by kind; the run's id."""
    tags = {
        "dagster/partition": training_partition(session, strategy),
        "dagster/partition/session": session,
        "dagster/partition/strategy": strategy,
    }
    params = {
        "selector": {
            "repositoryLocationName": LOCATION,
            "repositoryName": "__repository__",
            "pipelineName": f"train_{MARKET}",
            "assetSelection": [{"path": [MARKET, name]} for name in assets],
        },
        "runConfigData": {"ops": {f"{MARKET}__model": {"config": {"hyperparameters": values}}}},
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
    }
    answer = installation.api.ask(_LAUNCH, {"params": params})["launchRun"]
    if "run" not in answer:
        raise DagsterRefused(str(answer))
    return answer["run"]["runId"]


_BACKFILL = """
mutation Backfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""


def backfill(
    installation: Installation, asset: str, sessions: Sequence[str], strategies: Sequence[str]
) -> BackfillProgress:
    """Every strategy at every session, as the UI's dialog asks for them; how it ended."""
    wanted = [training_partition(session, strategy) for session in sessions for strategy in strategies]
    params = {"assetSelection": [{"path": [MARKET, asset]}], "partitionNames": wanted}
    answer = installation.api.ask(_BACKFILL, {"params": params})["launchPartitionBackfill"]
    if "backfillId" not in answer:
        raise DagsterRefused(str(answer))
    return installation.api.follow_backfill(answer["backfillId"], tell=lambda _: None)


@dataclass(frozen=True)
class Watched:
    """The MLflow run of a run of Dagster's, asked for over HTTP."""

    address: str
    dagster_run: str

    def look(self) -> dict[str, Any] | None:
        """Everything that MLflow says of it now; None before it is there."""
        found = self._ask("experiments/search", {"max_results": 100, "filter": f"name = '{MARKET}'"})
        wanted = {
            "experiment_ids": [each["experiment_id"] for each in found.get("experiments", ())],
            "filter": f"tags.dagster_run = '{self.dagster_run}'",
        }
        runs = self._ask("runs/search", wanted).get("runs", ()) if wanted["experiment_ids"] else ()
        return next(iter(runs), None)

    def await_step(self, least: int) -> dict[str, Any]:
        """Until its progress has reached a step."""
        ends = time.monotonic() + WAIT_SECONDS
        while True:
            run = self.look()
            if run is not None and self.step(run) >= least:
                return run
            assert time.monotonic() < ends, f"no step {least} of {self.dagster_run} in MLflow: {run}"
            time.sleep(0.5)

    def await_status(self, status: str) -> dict[str, Any]:
        """Until it has ended so: by itself, or by the sensor that ends what its process could not."""
        ends = time.monotonic() + WAIT_SECONDS
        while True:
            run = self.look()
            if run is not None and run["info"]["status"] == status:
                return run
            assert time.monotonic() < ends, f"{self.dagster_run} is not {status} in MLflow: {run}"
            time.sleep(0.5)

    @staticmethod
    def step(run: dict[str, Any]) -> int:
        """The newest step whose progress MLflow has; 0 where there is none."""
        metrics = run["data"].get("metrics", ())
        return next((int(each["step"]) for each in metrics if each["key"] == "progress_percent"), 0)

    def page(self, run: dict[str, Any]) -> str:
        info = run["info"]
        return f"{self.address}/#/experiments/{info['experiment_id']}/runs/{info['run_id']}"

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the test's own server
            f"{self.address}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:  # noqa: S310
            return json.load(answer)
