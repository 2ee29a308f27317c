"""Talk to Dagster the way its UI does: GraphQL over HTTP."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from quant_pipelines.errors import DependencyFailed, OperatorActionRequired

_TIMEOUT_SECONDS = 60
_POLL_SECONDS = 1.0
# How the servers of `qp up` call the code they serve, and Dagster the definitions in it.
LOCATION = "quant_pipelines"
_REPOSITORY = "__repository__"
ENDED = frozenset({"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"})
RUN_ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
SUCCEEDED = frozenset({"COMPLETED", "COMPLETED_SUCCESS"})


class DagsterUnreachable(DependencyFailed):
    """No Dagster webserver answers."""

    code = "QP302"


class DagsterRefused(OperatorActionRequired):
    """Dagster answered with an error."""

    code = "QP104"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillProgress:
    """How far a backfill is."""

    status: str
    partitions: int
    succeeded: int
    failed: int
    error: str | None

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """How far a run is."""

    status: str
    materialized: int

    @property
    def ended(self) -> bool:
        return self.status in RUN_ENDED


@dataclass(frozen=True, slots=True)
class AssetState:
    """Which partitions an asset has, as spans of keys with both ends."""

    asset: tuple[str, ...]
    materialized: tuple[tuple[str, str], ...]

    def lacks(self, key: str) -> bool:
        # Keys of sessions sort as their times do.
        return not any(first <= key <= last for first, last in self.materialized)


_Progress = TypeVar("_Progress", BackfillProgress, RunProgress)


@dataclass(frozen=True, slots=True)
class DagsterApi:
    """A running Dagster webserver."""

    address: str

    def ask(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send one GraphQL document and return its data."""
        body = json.dumps({"query": query, "variables": variables or {}}).encode()
        request = urllib.request.Request(  # noqa: S310 - the address is the operator's own setting
            f"{self.address}/graphql", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
                document = json.load(answer)
        except urllib.error.HTTPError as error:
            raise DagsterRefused(
                f"Dagster at {self.address} refused: {error.read().decode(errors='replace')}"
            ) from error
        except (urllib.error.URLError, OSError) as error:
            raise DagsterUnreachable(
                f"No Dagster answers at {self.address}: {error}. Start it with `qp up`."
            ) from error
        if document.get("errors"):
            raise DagsterRefused("; ".join(each["message"] for each in document["errors"]))
        return document["data"]

    def launch_backfill(self, assets: Sequence[Sequence[str]], *, first: str, last: str, title: str) -> str:
        """Backfill a range of sessions of some assets; returns the backfill's id."""
        ranged = [
            {"assetKey": {"path": list(path)}, "partitions": {"range": {"start": first, "end": last}}}
            for path in assets
        ]
        answer = self.ask(_LAUNCH, {"params": {"partitionsByAssets": ranged, "title": title}})[
            "launchPartitionBackfill"
        ]
        if answer["__typename"] != "LaunchBackfillSuccess":
            raise DagsterRefused(f"Dagster refused the backfill: {answer.get('message', answer['__typename'])}")
        return answer["backfillId"]

    def launch_run(self, job: str, *, first: str, last: str) -> str:
        """Run a job over a range of sessions at once; returns the run's id.

        A backfill would wait first: Dagster's daemon looks for new ones every 30 seconds.
        """
        return self._launch(
            job, {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        )

    def launch_training(self, job: str, *, session: str, strategy: str) -> str:
        """Run a job for one cutoff and one strategy; returns the run's id."""
        tags = {
            "dagster/partition": training_partition(session, strategy),
            "dagster/partition/session": session,
            "dagster/partition/strategy": strategy,
        }
        return self._launch(job, tags)

    def _launch(self, job: str, tags: dict[str, str]) -> str:
        params = {
            "selector": _job(job),
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        answer = self.ask(_RUN, {"params": params})["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise DagsterRefused(f"Dagster refused the run of {job}: {answer.get('message', answer['__typename'])}")
        return answer["run"]["runId"]

    def materialized(self, asset: Sequence[str], partition: str) -> bool:
        """Whether one partition of an asset is there."""
        answer = self.ask(_MATERIALIZED, {"asset": {"path": list(asset)}, "partition": partition})["assetNodeOrError"]
        return any(each is not None for each in answer.get("latestMaterializationByPartition", []))

    def states(self, job: str) -> list[AssetState]:
        """What a job makes, and what of it is there."""
        nodes = self.ask(_STATES, {"job": _job(job)})["assetNodes"]
        if not nodes:
            raise DagsterRefused(f"Dagster at {self.address} has no job {job}, or it makes nothing.")
        return [AssetState(tuple(each["assetKey"]["path"]), _spans(each["assetPartitionStatuses"])) for each in nodes]

    def run(self, run_id: str) -> RunProgress:
        """Where a run stands."""
        answer = self.ask(_RUN_PROGRESS, {"id": run_id})["runOrError"]
        if answer["__typename"] != "Run":
            raise DagsterRefused(answer.get("message", f"There is no run {run_id}."))
        return RunProgress(status=answer["status"], materialized=answer["stats"].get("materializations", 0))

    def follow_run(self, run_id: str, *, tell: Callable[[RunProgress], None]) -> RunProgress:
        """Report its progress again and again; return how it ended."""
        return _followed(lambda: self.run(run_id), tell)

    def backfill(self, backfill_id: str) -> BackfillProgress:
        """Where a backfill stands."""
        answer = self.ask(_PROGRESS, {"id": backfill_id})["partitionBackfillOrError"]
        if answer["__typename"] != "PartitionBackfill":
            raise DagsterRefused(answer.get("message", f"There is no backfill {backfill_id}."))
        counts = [_counts(each) for each in answer["assetBackfillData"]["assetBackfillStatuses"]] or [(0, 0, 0)]
        total, succeeded, failed = (sum(column) for column in zip(*counts, strict=True))
        error = answer["error"]["message"] if answer["error"] else None
        return BackfillProgress(
            status=answer["status"], partitions=total, succeeded=succeeded, failed=failed, error=error
        )

    def follow_backfill(self, backfill_id: str, *, tell: Callable[[BackfillProgress], None]) -> BackfillProgress:
        """Report its progress again and again; return how it ended."""
        return _followed(lambda: self.backfill(backfill_id), tell)


def training_partition(session: str, strategy: str) -> str:
    """The key of a cutoff and a strategy; Dagster joins dimensions in the order of their names."""
    return f"{session}|{strategy}"


def _job(name: str) -> dict[str, str]:
    return {"repositoryLocationName": LOCATION, "repositoryName": _REPOSITORY, "pipelineName": name}


def _spans(statuses: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    whole = (each for each in statuses["ranges"] if each["status"] == "MATERIALIZED")
    return tuple((each["startKey"], each["endKey"]) for each in whole)


def _followed(look: Callable[[], _Progress], tell: Callable[[_Progress], None]) -> _Progress:
    while True:
        progress = look()
        tell(progress)
        if progress.ended:
            return progress
        time.sleep(_POLL_SECONDS)


def _counts(status: dict[str, Any]) -> tuple[int, int, int]:
    if status["__typename"] == "UnpartitionedAssetStatus":
        done = int(status["materialized"])
        return 1, done, int(status["failed"])
    return status["numPartitionsTargeted"], status["numPartitionsMaterialized"], status["numPartitionsFailed"]


_LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""

_MATERIALIZED = """
query Materialized($asset: AssetKeyInput!, $partition: String!) {
  assetNodeOrError(assetKey: $asset) {
    ... on AssetNode { latestMaterializationByPartition(partitions: [$partition]) { timestamp } }
  }
}
"""

_STATES = """
query States($job: PipelineSelector!) {
  assetNodes(pipeline: $job) {
    assetKey { path }
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } }
  }
}
"""

_RUN = """
mutation Run($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
  }
}
"""

_RUN_PROGRESS = """
query RunProgress($id: ID!) {
  runOrError(runId: $id) {
    __typename
    ... on Run { status stats { ... on RunStatsSnapshot { materializations } } }
    ... on Error { message }
  }
}
"""

_PROGRESS = """
query Progress($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PartitionBackfill {
      status
      error { message }
      assetBackfillData {
        assetBackfillStatuses {
          __typename
          ... on AssetPartitionsStatusCounts {
            numPartitionsTargeted numPartitionsMaterialized numPartitionsFailed numPartitionsInProgress
          }
          ... on UnpartitionedAssetStatus { materialized failed inProgress }
        }
      }
    }
    ... on Error { message }
  }
}
"""
