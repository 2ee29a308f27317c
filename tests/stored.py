"""Fitted models that tests store, and the places to store them in."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from quant_pipelines.clock import SystemClock
from quant_pipelines.models import MODEL_KINDS, Files, Fitting, Task, Values
from quant_pipelines.registry import Key, Keys, Manifest, Packed, StoredTask, pack
from quant_pipelines.registry.mlflow.client import make_tables
from quant_pipelines.registry.mlflow.place import Place
from quant_pipelines.registry.mlflow.store import MlflowModels
from quant_pipelines.registry.mlflow.tracker import MlflowRuns
from tests.learnable import COLUMNS, halves, planted

KEY = Key(bytes(range(32)))
KEYS = Keys(KEY)
QUICK: dict[str, Values] = {
    "linear": {},
    "lightgbm": {"num_leaves": 7, "num_boost_round": 5, "early_stopping_rounds": 5},
    "xgboost": {"max_depth": 3, "n_estimators": 5, "early_stopping_rounds": 5},
}
MODEL = "demo.candles"


@cache
def fitted(kind: str) -> Files:
    """The files of a small model that was fitted once."""
    spec = MODEL_KINDS[kind]
    model = spec.make(spec.settings(Task(), COLUMNS, chosen=QUICK[kind]), None)
    train, validation = halves(planted(Task()))
    model.fit(train, validation, Fitting())
    return model.state()


def manifest(kind: str = "linear", training: str = "training-1", **changed: Any) -> Manifest:
    spec = MODEL_KINDS[kind]
    values: dict[str, Any] = {
        "model": MODEL,
        "kind": kind,
        "parameters": dict(spec.settings(Task(), COLUMNS, chosen=QUICK[kind]).parameters),
        "task": StoredTask(kind="numbers", outputs=1),
        "columns": COLUMNS,
        "feature_versions": dict.fromkeys(COLUMNS, "1"),
        "label_set": "qlib_return",
        "snapshot_id": "5" * 64,
        "training_id": training,
        "code_version": "abc",
        "seed": 0,
        "libraries": {"numpy": "2"},
        "metrics": {"validation_mse": 0.5},
        "created_at": datetime(2024, 1, 2, tzinfo=UTC),
    }
    return Manifest(**values | changed)


def packed(kind: str = "linear", training: str = "training-1", **changed: Any) -> Packed:
    return pack(manifest(kind, training, **changed), fitted(kind))


def place_in(folder: Path, uri: str | None = None) -> Place:
    return Place(
        uri=uri or f"sqlite:///{folder / 'mlflow.db'}",
        page="http://127.0.0.1:5000",
        artifacts=(folder / "artifacts").as_uri(),
        lock=folder / "mlflow.lock",
    )


def migrated(folder: Path) -> Path:
    """A file with MLflow's tables, to be copied: making them takes seconds."""
    place = place_in(folder)
    make_tables(place)
    assert place.file is not None
    return place.file


class Kept:
    """A store and a tracker in one place, and a run for every save."""

    def __init__(self, place: Place, *, keys: Keys = KEYS) -> None:
        self.place = place
        self.models = MlflowModels(place, keys, clock=SystemClock())
        self.runs = MlflowRuns(place, clock=SystemClock())

    def run(self) -> str:
        return self.runs.start("demo", "a training").id

    def save(self, training: str = "training-1", **changed: Any):
        return self.models.save(packed(training=training, **changed), self.run(), actor="a test")

    def files(self, name: str = "*") -> list[Path]:
        """Stored files of this name, wherever they lie."""
        found = Path(str(self.place.artifacts).removeprefix("file://")).rglob(name)
        return sorted(path for path in found if path.is_file())
