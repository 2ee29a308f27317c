"""Reads tasks, one JSON line each; forks a writer for each; may kill it; reports how it ended.

A task: url, anchor, name, count, kill_at (the step to die at, counted from 0), kill_after_lines and
delay (how many lines to hear from the writer first, and seconds to wait then).
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
from quant_pipelines.journal import Entry, FileAnchor, Journal


class Steps:
    """Listens to the steps of an append, and dies at the chosen one."""

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


def append(task: dict[str, Any], report: int) -> None:
    steps = Steps(task.get("kill_at"), report)
    journal = Journal(task["url"], FileAnchor(Path(task["anchor"])), clock=SystemClock(), trace=steps)
    for number in range(task["count"]):
        name = f"{task['name']} {number}"
        entry = Entry(kind="note", subject=task["name"], actor=f"process {os.getpid()}", payload={"name": name})
        row = journal.append_once(name, entry) if task.get("once") else journal.append(entry)
        tell(report, acknowledged=row.sequence)


def ending_of(task: dict[str, Any]) -> dict[str, Any]:
    reading, report = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        append(task, report)
        os._exit(0)
    os.close(report)
    with os.fdopen(reading) as lines:
        # By what it has done, not by the time: on a slow disk it would be killed before it did anything.
        told = [lines.readline() for _ in range(task.get("kill_after_lines", 0))]
        if told:
            time.sleep(task["delay"])
            os.kill(process, signal.SIGKILL)
        told = [json.loads(line) for line in [*told, *lines] if line.endswith("\n")]
    _, status = os.waitpid(process, 0)
    return {
        "killed": os.WIFSIGNALED(status),
        "acknowledged": [each["acknowledged"] for each in told if "acknowledged" in each],
        "steps": [each["step"] for each in told if "step" in each],
    }


def main() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps(ending_of(json.loads(line))) + "\n")
        sys.stdout.flush()


main()
