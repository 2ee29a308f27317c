"""A process that writes and can be killed, and what a reader must find afterwards."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Lake, Table, Window, Writer
from quant_pipelines.lake.schemas import Column, TableSchema

FIRST = datetime(2024, 1, 1)
SCRIPT = Path(__file__).with_name("writing_process.py")
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


@dataclass(frozen=True)
class Ending:
    """How a writing process ended: killed or not, what it acknowledged, which steps it took."""

    killed: bool
    acknowledged: list[int]
    error: str | None
    steps: list[str]


class WritingProcess:
    """One process that forks a fresh writer for each task, so that a hundred kills take seconds."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, root: Path, **task: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"root": str(root), **task}) + "\n")
        self._process.stdin.flush()

    def ending(self) -> Ending:
        assert self._process.stdout is not None
        return Ending(**json.loads(self._process.stdout.readline()))

    def run(self, root: Path, **task: Any) -> Ending:
        self.start(root, **task)
        return self.ending()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def writing() -> Iterator[WritingProcess]:
    process = WritingProcess()
    yield process
    process.close()


@pytest.fixture(scope="module")
def writing_too() -> Iterator[WritingProcess]:
    process = WritingProcess()
    yield process
    process.close()


@pytest.fixture
def table_at() -> Callable[[Path], Table]:
    return lambda root: Lake(str(root), clock=SystemClock()).table("demo", SCHEMA)


@pytest.fixture
def rows() -> Callable[..., pa.Table]:
    def make(days: Any, generation: int) -> pa.Table:
        cells = [(FIRST + timedelta(days=day), f"S{symbol}") for day in days for symbol in range(3)]
        return pa.table(
            {
                "session": [session for session, _ in cells],
                "symbol": [symbol for _, symbol in cells],
                "generation": [generation] * len(cells),
            },
            schema=SCHEMA.arrow,
        )

    return make


@pytest.fixture
def days() -> Callable[..., Window]:
    return lambda first, last: Window(FIRST + timedelta(days=first), FIRST + timedelta(days=last))


@pytest.fixture
def writer() -> Writer:
    return Writer("a test")


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path, int], Path]:
    """A fresh copy of a prepared lake for each kill."""

    def copy(prepared: Path, number: int) -> Path:
        return Path(shutil.copytree(prepared, tmp_path / f"copy-{number}"))

    return copy


@pytest.fixture
def schema() -> TableSchema:
    return SCHEMA
