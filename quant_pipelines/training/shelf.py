"""Finished trainings that wait to be stored: a store that cannot be reached costs no training."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError

from quant_pipelines.digest import digest_bytes
from quant_pipelines.errors import StoreDamaged
from quant_pipelines.models import Files
from quant_pipelines.settings import Settings
from quant_pipelines.training.engine import Trained
from quant_pipelines.training.order import Order
from quant_pipelines.training.report import TrainingReport

_REPORT, _SEAL, _RUN = "report.json", "seal.json", "run.txt"


class ShelfDamaged(StoreDamaged):
    """What lies on the shelf is not what was put there."""

    code = "QP566"


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A finished training that is not stored yet, and the run that watched it."""

    trained: Trained
    run_id: str


@dataclass(frozen=True)
class Shelf:
    """One folder for each training, there as a whole or not at all."""

    folder: Path

    def put(self, trained: Trained, run_id: str) -> None:
        """Write the files, the report and the name of the run to disk."""
        place = self.folder / trained.order.training_id
        if place.exists():
            return
        files = {**trained.files, _REPORT: trained.report.model_dump_json().encode(), _RUN: run_id.encode()}
        files[_SEAL] = json.dumps({name: digest_bytes(data) for name, data in sorted(files.items())}).encode()
        staged = self.folder / f".{trained.order.training_id}.{uuid4().hex}"
        staged.mkdir(parents=True)
        for name, data in files.items():
            _write(staged / name, data)
        _sync_folder(staged)
        try:
            staged.rename(place)
        except OSError:
            # Somebody else put the same training there first; equal trainings are equal.
            shutil.rmtree(staged, ignore_errors=True)
            if not place.exists():
                raise
        _sync_folder(self.folder)

    def find(self, order: Order) -> Waiting | None:
        """The finished training of this order. ShelfDamaged where its bytes are not what was written."""
        place = self.folder / order.training_id
        if not place.exists():
            return None
        try:
            files = {path.name: path.read_bytes() for path in place.iterdir()}
            report, run_id = _report(files), files[_RUN].decode()
        except (OSError, ValueError, KeyError, ValidationError) as error:
            raise ShelfDamaged(
                f"The finished training in {place} is not what was written: {type(error).__name__}: {error}. "
                "It has to be trained again."
            ) from error
        kept: Files = {name: data for name, data in files.items() if name not in (_REPORT, _SEAL, _RUN)}
        return Waiting(trained=Trained(order=order, files=kept, report=report), run_id=run_id)

    def drop(self, order: Order) -> None:
        """Take it off: it is stored elsewhere now."""
        shutil.rmtree(self.folder / order.training_id, ignore_errors=True)


def open_shelf(settings: Settings) -> Shelf:
    return Shelf(settings.home_path / "trainings")


def _report(files: Mapping[str, bytes]) -> TrainingReport:
    sealed: Mapping[str, str] = json.loads(files[_SEAL])
    found = {name: digest_bytes(data) for name, data in files.items() if name != _SEAL}
    if found != sealed:
        raise ValueError("not what was written")
    return TrainingReport.model_validate_json(files[_REPORT])


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
