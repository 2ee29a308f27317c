"""Forks a process of its own session for each materialisation, so that dozens of kills share one slow import.

Reads requests, one JSON line each: {"start": task} answers {"pid": ...} at once, and {"wait": pid} answers
{"killed": ...} when that process is over. What a process does stands in its report, one JSON line each.

A task: home, report, environment, market (its entry), first, last, kill_at (the step of the lake to die at,
counted from 0), hold_at with release (the step to stand still at, until that file is there).
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

# Imported once, before any fork; none of them starts a thread until it is used.
import dagster as dg
import deltalake
import great_expectations
import pyarrow.parquet

from assets.checks.prices import price_checks
from assets.prices import price_assets
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Lake
from quant_pipelines.markets import Market
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.sources import SourcesResource
from sensors.jobs import refresh_job, refresh_job_name

LOADED_AHEAD = (deltalake, great_expectations, pyarrow.parquet)
WAIT_SECONDS = 60.0


class Report:
    """What a process tells; each line is whole, whenever it dies."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(self, **what: Any) -> None:
        os.write(self._file, (json.dumps({"at": time.monotonic(), **what}) + "\n").encode())


class Steps:
    """Listens to the steps of every write; dies or stands still at the chosen one."""

    def __init__(self, task: dict[str, Any], report: Report) -> None:
        self.task = task
        self.report = report
        self.count = 0

    def __call__(self, point: str) -> None:
        self.report.tell(step=point)
        if self.count == self.task.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.count == self.task.get("hold_at"):
            self._hold(Path(self.task["release"]))
        self.count += 1

    def _hold(self, release: Path) -> None:
        self.report.tell(held=True)
        ends = time.monotonic() + WAIT_SECONDS
        while not release.exists():
            if time.monotonic() > ends:
                raise TimeoutError(f"nobody made {release}")
            time.sleep(0.002)


def listened_to(steps: Callable[[str], None]) -> type[LakeResource]:
    """The product's own lake, whose steps somebody hears."""

    class LakeWithSteps(LakeResource):
        def open(self) -> Lake:
            return Lake(super().open().root, clock=SystemClock(), trace=steps)

    return LakeWithSteps


def materialise(task: dict[str, Any], report: Report) -> None:
    """The refresh job of one market over the sessions, as one run."""
    home = Path(task["home"])
    os.environ.pop("QP_DATABASE_URL", None)
    os.environ.update(task["environment"])
    lake = listened_to(Steps(task, report))(root=str(home / "lake"), leases=str(home / "leases"))
    tags = {"dagster/asset_partition_range_start": task["first"], "dagster/asset_partition_range_end": task["last"]}
    with dg.DagsterInstance.from_config(str(home)) as instance:
        resources = {"lake": lake, "lineage": LineageResource(home=str(home)), "sources": SourcesResource()}
        result = job_of(task["market"], resources).execute_in_process(
            instance=instance, tags=tags, raise_on_error=False
        )
    report.tell(success=result.success, errors=[_error(event) for event in result.all_events if event.is_step_failure])


def job_of(entry: dict[str, Any], resources: dict[str, Any]) -> dg.JobDefinition:
    market = Market(**entry)
    definitions = dg.Definitions(
        assets=list(price_assets(market)),
        asset_checks=list(price_checks(market)),
        jobs=[refresh_job(market)],
        resources=resources,
        executor=dg.in_process_executor,
    )
    return definitions.resolve_job_def(refresh_job_name(market))


def _error(event: dg.DagsterEvent) -> str:
    """The project's code of a failure that has a name, else its words."""
    failure = event.step_failure_data
    user = failure.user_failure_data
    return str(user.metadata["code"].value) if user and "code" in user.metadata else str(failure.error_display_string)


def child(task: dict[str, Any]) -> None:
    """Never returns to the server's loop."""
    code = 1
    try:
        os.setsid()
        log = os.open(f"{task['report']}.log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, sys.stdout.fileno())
        os.dup2(log, sys.stderr.fileno())
        materialise(task, Report(task["report"]))
        code = 0
    finally:
        if code:
            sys.excepthook(*sys.exc_info())
        os._exit(code)


@dg.op
def nothing() -> None:
    """Does nothing."""


@dg.job
def empty_job() -> None:
    """Loads what Dagster loads when it runs something."""
    nothing()


def load_ahead() -> None:
    """Run something once, so that no later process has to load Dagster's machinery and its stores."""
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        assert empty_job.execute_in_process(instance=instance).success
    assert threading.active_count() == 1, "a fork copies one thread only"


def answer(request: dict[str, Any], running: set[int]) -> dict[str, Any]:
    if "wait" in request:
        _, status = os.waitpid(request["wait"], 0)
        running.discard(request["wait"])
        return {"killed": os.WIFSIGNALED(status)}
    process = os.fork()
    if process == 0:
        child(request["start"])
    running.add(process)
    return {"pid": process}


def main() -> None:
    load_ahead()
    running: set[int] = set()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line), running)) + "\n")
        sys.stdout.flush()
    for process in running:
        os.kill(process, signal.SIGKILL)


main()
