"""Reads tasks, one JSON line each; forks one mover for each part of a task; may kill it; reports how all ended.

A task is a list of parts that run at once: folder, artifacts, scene, kill_at (the step to die at, counted from 0),
url (the journal's database, where it is not a file), act (what to try instead of the scene's own).
"""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import Conflict
from quant_pipelines.journal import FileAnchor, Journal, sqlite_url
from tests.faults.deployment.scenes import SCENES, perform
from tests.rollouts import Rollouts
from tests.stored import Kept, fitted, place_in


class Steps:
    """Listens to the steps of a move, and dies at the chosen one."""

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
    folder = Path(part["folder"])
    steps = Steps(part.get("kill_at"), report)
    url = part.get("url") or sqlite_url(folder / "journal.db")
    journal = Journal(url, FileAnchor(folder / "journal.anchor"), clock=SystemClock(), trace=steps)
    rollouts = Rollouts(journal, Kept(replace(place_in(folder), artifacts=part["artifacts"])).models, trace=steps)
    scene = SCENES[part["scene"]]
    if "act" in part:
        scene = replace(scene, act=part["act"])
    try:
        perform(scene, rollouts)
    except Conflict as error:
        tell(report, conflict=type(error).__name__)
    else:
        tell(report, done=True)


def begun(part: dict[str, Any]) -> tuple[int, int]:
    reading, report = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        act(part, report)
        os._exit(0)
    os.close(report)
    return process, reading


def ended(process: int, reading: int) -> dict[str, Any]:
    with os.fdopen(reading) as lines:
        told = [json.loads(line) for line in lines if line.endswith("\n")]
    _, status = os.waitpid(process, 0)
    return {
        "killed": os.WIFSIGNALED(status),
        "well": status == 0,
        "done": any("done" in each for each in told),
        "conflicts": [each["conflict"] for each in told if "conflict" in each],
        "steps": [each["step"] for each in told if "step" in each],
    }


def main() -> None:
    fitted("linear")  # once, before any fork
    for line in sys.stdin:
        processes = [begun(part) for part in json.loads(line)]
        endings = [ended(*process) for process in processes]
        sys.stdout.write(json.dumps(endings) + "\n")
        sys.stdout.flush()


main()
