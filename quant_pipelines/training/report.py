"""The report of one training, as one value (S2-90)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from quant_pipelines.documents import Entry
from quant_pipelines.models import Value

CURVES = {
    # S2-49: the colours are the user's.
    "train_loss": "#ef4444",
    "val_loss": "#f97316",
    "train_accuracy": "#10b981",
    "val_accuracy": "#06b6d4",
}


class Epoch(Entry, frozen=True):
    """One epoch or iteration: its number, and what was measured in it."""

    number: int
    metrics: dict[str, float]


class Pair(Entry, frozen=True):
    """Two features and their correlation over rows in which both are known."""

    first: str
    second: str
    correlation: float


class TrainingReport(Entry, frozen=True):
    """What a person wants to know of a training; `error_info` is there where it did not end well.

    `total_epochs` counts epochs of nets and trees of boosted models; `best_epoch` is the one whose state was kept.
    `feature_correlations` are pairs that say nearly the same, the closest first.
    `final_metrics` are those of the kept state, named by part: validation_mse, train_ic.
    """

    model_id: str
    model_name: str
    model_kind: str
    training_duration: float
    total_epochs: int
    best_epoch: int
    final_metrics: dict[str, float]
    training_history: tuple[Epoch, ...]
    hyperparameters: dict[str, Value]
    data_info: dict[str, Any]
    feature_importance: dict[str, float] | None = None
    importance_is: str | None = None
    feature_correlations: tuple[Pair, ...] = ()
    error_info: str | None = None
    created_at: datetime

    def curve(self, metric: str) -> list[float | None]:
        """One measure, epoch by epoch."""
        return [each.metrics.get(metric) for each in self.training_history]

    @property
    def importance_shares(self) -> dict[str, float]:
        """Each feature's share of the importance, the greatest first; empty where the model knows none."""
        return extract_feature_importance(self.feature_importance)

    @property
    def strongest(self) -> list[tuple[str, float]]:
        """The features by importance, the strongest first."""
        found = self.feature_importance or {}
        return sorted(found.items(), key=lambda item: -abs(item[1]))


def extract_feature_importance(importance: Mapping[str, float] | None) -> dict[str, float]:
    """Each feature's share of the importance, the greatest first; empty where the model knows none (S0-07)."""
    found = importance or {}
    total = sum(abs(value) for value in found.values())
    if total == 0:
        return dict.fromkeys(found, 0.0)
    return {name: abs(value) / total for name, value in sorted(found.items(), key=lambda item: -abs(item[1]))}
