"""Reads tasks, one JSON line each; forks one process for each part of a task; may kill it; reports how all ended.

A task is a list of parts that run at once: folder, training, kill_at (the step to die at, counted from 0), kill_after
(seconds of saving until it is killed), or only open: true.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from quant_pipelines.clock import SystemClock
from quant_pipelines.registry.mlflow.store import MlflowModels
from quant_pipelines.registry.mlflow.tracker import MlflowRuns
from tests.stored import KEYS, fitted, packed, place_in


class Steps:
    """Listens to the steps of a save, and dies at the chosen one."""

    def __init__(self, kill_at: int | None, report: int) -> None:
        self.kill_at = kill_at
        self.report = report
        self.count = 0

    def __call__(self, point: str) -> None:
        tell(self.report, step=point)
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1


def tell(report: int, **what: Any) -> None:
    os.write(report, (json.dumps(what) + "\n").encode())


def act(part: dict[str, Any], report: int) -> None:
    place = place_in(Path(part["folder"]), part.get("uri"))
    runs = MlflowRuns(place, clock=SystemClock())
    if part.get("open"):
        tell(report, run=runs.start("demo", "opened").id)
        return
    models = MlflowModels(place, KEYS, clock=SystemClock(), trace=Steps(part.get("kill_at"), report))
    run = runs.start("demo", "a training")
    tell(report, ready=True)
    version = models.save(packed(training=part["training"]), run.id, actor="a test")
    tell(report, number=version.number)


def begun(part: dict[str, Any]) -> tuple[int, int]:
    reading, report = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        act(part, report)
        os._exit(0)
    os.close(report)
    return process, reading


def ended(part: dict[str, Any], process: int, reading: int) -> dict[str, Any]:
    with os.fdopen(reading) as lines:
        told = []
        if "kill_after" in part:
            told.append(lines.readline())
            time.sleep(part["kill_after"])
            os.kill(process, signal.SIGKILL)
        told = [json.loads(line) for line in [*told, *lines] if line.endswith("\n")]
    _, status = os.waitpid(process, 0)
    return {
        "killed": os.WIFSIGNALED(status),
        "well": status == 0,
        "numbers": [each["number"] for each in told if "number" in each],
        "steps": [each["step"] for each in told if "step" in each],
    }


def main() -> None:
    fitted("linear")  # once, before any fork
    for line in sys.stdin:
        parts = json.loads(line)
        processes = [begun(part) for part in parts]
        endings = [ended(part, *process) for part, process in zip(parts, processes, strict=True)]
        sys.stdout.write(json.dumps(endings) + "\n")
        sys.stdout.flush()


main()
