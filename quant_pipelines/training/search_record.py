"""The trials of one search on disk: a line when one begins, a line when it ends, each there as a whole or not at all.

Optuna's own stores write a dozen times for each trial and hold each write to the disk; two writes are enough.
"""

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quant_pipelines.errors import Conflict, StoreDamaged
from quant_pipelines.models import Value
from quant_pipelines.training.search_result import TrialRow


class SearchRuns(Conflict):
    """Another process works on the same search."""

    code = "QP415"


class SearchDamaged(StoreDamaged):
    """The record of a search is not what was written."""

    code = "QP565"


@dataclass(kw_only=True)
class Record:
    """What is known of a search: trials by number. One that began and has no end was cut."""

    path: Path
    parameters: dict[int, dict[str, Value]] = field(default_factory=dict[int, dict[str, Value]])
    # The ledger's number of each trial's latest beginning, until it ends.
    open_since: dict[int, int] = field(default_factory=dict[int, int])
    ended: dict[int, TrialRow] = field(default_factory=dict[int, TrialRow])
    spent_seconds: float = 0.0

    def began(self, number: int, parameters: dict[str, Value], ledger: int) -> None:
        self._add({"began": number, "parameters": parameters, "ledger": ledger})

    def end(self, row: TrialRow, spent_seconds: float) -> None:
        self._add({"ended": row.number, "row": row.model_dump(mode="json"), "spent_seconds": spent_seconds})

    @property
    def to_repeat(self) -> list[int]:
        """Trials that began and were cut, the oldest first."""
        return sorted(self.parameters.keys() - self.ended.keys())

    @property
    def next_number(self) -> int:
        return max(self.parameters, default=-1) + 1

    def take(self, line: dict[str, Any]) -> None:
        """Take over one line."""
        if "began" in line:
            self.parameters[line["began"]] = line["parameters"]
            self.open_since[line["began"]] = line["ledger"]
            return
        row = TrialRow.model_validate(line["row"])
        self.open_since.pop(row.number, None)
        self.spent_seconds = line["spent_seconds"]
        if row.state != "cut":
            self.ended[row.number] = row

    def _add(self, line: dict[str, Any]) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.take(line)


@contextmanager
def held_record(folder: Path, study: str) -> Generator[Record]:
    """The record of a search, for one process at a time; a last line that was cut short is dropped."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{study}.jsonl"
    with path.open("ab") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SearchRuns(f"Search {study[:16]} runs in another process. Let that one end.") from error
        yield _read(path)


def _read(path: Path) -> Record:
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    record = Record(path=path)
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            record.take(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise SearchDamaged(
                f"Line {number} of {path} is no trial. Move the file away; the search begins anew."
            ) from error
    return record
