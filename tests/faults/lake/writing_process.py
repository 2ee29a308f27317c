"""Reads tasks, one JSON line each; forks a writer for each; may kill it; reports how it ended.

A task: root, kind, generation, kill_at (the step to die at, counted from 0), kill_after (seconds),
meet (a folder where two writers wait for each other before they commit), file_limit (bytes).
"""

import json
import os
import resource
import signal
import sys
import time
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

# Imported once, before any fork; neither starts a thread until it is used.
import deltalake
import pandas as pd
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet

from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.lake import Lake, Table, Window, Writer, no_fence
from quant_pipelines.lake.schemas import Column, TableSchema

FIRST = datetime(2024, 1, 1)
WAIT_SECONDS = 30.0
SCHEMA = TableSchema(
    "bars",
    "A table for fault injection.",
    key=("session", "symbol"),
    columns=(
        Column("session", pa.timestamp("us"), "When.", nullable=False),
        Column("symbol", pa.string(), "What.", nullable=False),
        Column("generation", pa.int64(), "Which write it is of."),
    ),
)


def rows(days: range, generation: int) -> pa.Table:
    cells = [(FIRST + timedelta(days=day), f"S{symbol}") for day in days for symbol in range(3)]
    return pa.table(
        [[session for session, _ in cells], [symbol for _, symbol in cells], [generation] * len(cells)],
        schema=SCHEMA.arrow,
    )


class Steps:
    """Listens to the steps of a write, and dies at the chosen one."""

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


def meeting(task: dict[str, Any]) -> Any:
    """A fence at which two writers wait for each other, the first time that each comes by."""
    if "meet" not in task:
        return no_fence
    here, there = (Path(task["meet"]) / name for name in (task["name"], task["other"]))

    def meet() -> AbstractContextManager[None]:
        if here.exists():
            return no_fence()
        here.touch()
        ends = time.monotonic() + WAIT_SECONDS
        while not there.exists():
            if time.monotonic() > ends:
                raise TimeoutError("the other writer never came")
            time.sleep(0.001)
        return no_fence()

    return meet


def write(task: dict[str, Any], report: int) -> None:
    if "file_limit" in task:
        resource.setrlimit(resource.RLIMIT_FSIZE, (task["file_limit"], task["file_limit"]))
    steps = Steps(task.get("kill_at"), report)
    table = Lake(task["root"], clock=SystemClock(), trace=steps).table("demo", SCHEMA)
    last = task["generation"] + task.get("repeats", 1)
    for generation in range(task["generation"], last):
        replace(table, range(task["first"], task["last"] + 1), generation, meeting(task))
        tell(report, acknowledged=generation)


def replace(table: Table, days: range, generation: int, fence: Any) -> None:
    window = Window(FIRST + timedelta(days=days[0]), FIRST + timedelta(days=days[-1]))
    table.replace(rows(days, generation), window=window, writer=Writer(f"process {os.getpid()}"), fence=fence)


def child(task: dict[str, Any], report: int) -> None:
    try:
        write(task, report)
    except QuantPipelinesError as error:
        tell(report, error=f"{type(error).__name__}: {error}")
    os._exit(0)


def ending_of(task: dict[str, Any]) -> dict[str, Any]:
    reading, report = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        child(task, report)
    os.close(report)
    with os.fdopen(reading) as lines:
        told = [lines.readline()]
        if "kill_after" in task:
            # Counted from the first step of the write: before it there is nothing to interrupt.
            time.sleep(task["kill_after"])
            os.kill(process, signal.SIGKILL)
        told = [json.loads(line) for line in [*told, *lines] if line.endswith("\n")]
    _, status = os.waitpid(process, 0)
    return {
        "killed": os.WIFSIGNALED(status),
        "acknowledged": [each["acknowledged"] for each in told if "acknowledged" in each],
        "error": next((each["error"] for each in told if "error" in each), None),
        "steps": [each["step"] for each in told if "step" in each],
    }


def main() -> None:
    assert deltalake.__version__
    assert pd.__version__
    for line in sys.stdin:
        sys.stdout.write(json.dumps(ending_of(json.loads(line))) + "\n")
        sys.stdout.flush()


main()
