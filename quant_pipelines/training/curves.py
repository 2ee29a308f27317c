"""The curves of a training, whatever its kind calls what it measures (S2-49)."""

from collections.abc import Mapping
from typing import Any

from quant_pipelines.training.report import CURVES, TrainingReport

Series = list[float | None]
# What the kinds write into their histories: nets their loss, LightGBM and XGBoost what they minimise.
_MEASURED: Mapping[str, tuple[str, ...]] = {
    "train_loss": ("train_loss", "train_l2", "train_rmse", "train_mse"),
    "val_loss": ("val_loss", "validation_loss", "validation_l2", "validation_rmse", "validation_mse"),
    "train_accuracy": ("train_accuracy",),
    "val_accuracy": ("val_accuracy", "validation_accuracy"),
}
_FEW_EPOCHS = 40


def curves(report: TrainingReport) -> dict[str, Series]:
    """Those of the four curves that the training has, epoch by epoch."""
    found = {curve: _first(report, names) for curve, names in _MEASURED.items()}
    return {curve: series for curve, series in found.items() if series}


def loss_and_accuracy(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """The two numbers that every training is watched by, on validation rows where there are some (S2-47)."""
    names = {"loss": ("val_loss", "train_loss"), "accuracy": ("val_accuracy", "train_accuracy")}
    return {
        name: next((metrics[each] for part in parts for each in _MEASURED[part] if each in metrics), None)
        for name, parts in names.items()
    }


def loss_name(report: TrainingReport) -> str:
    """What the loss is, in the kind's own words: loss, l2, rmse, mse."""
    for names in (_MEASURED["val_loss"], _MEASURED["train_loss"]):
        for name in names:
            if any(name in each.metrics for each in report.training_history):
                return name.split("_", 1)[1]
    return "loss"


def draw_curves(axes: Any, report: TrainingReport) -> None:
    """Losses on the left axis, accuracies on the right one, the kept epoch as a line."""
    found = curves(report)
    numbers = [each.number for each in report.training_history]
    marker = "o" if len(numbers) < _FEW_EPOCHS else None
    losses = [name for name in found if name.endswith("_loss")]
    accuracies = [name for name in found if name not in losses]
    lines = _drawn(axes, found, losses, numbers, marker)
    axes.set_xlabel("epoch or iteration")
    axes.set_ylabel(loss_name(report))
    if accuracies:
        right = axes.twinx()
        right.set_ylabel("accuracy")
        lines += _drawn(right, found, accuracies, numbers, marker)
    if report.best_epoch:
        lines.append(axes.axvline(report.best_epoch, color="#999", lw=0.8, ls="--", label=f"kept: {report.best_epoch}"))
    if lines:
        axes.legend(handles=lines, fontsize=7, frameon=False, ncols=len(lines))


def _drawn(
    axes: Any, found: Mapping[str, Series], names: list[str], numbers: list[int], marker: str | None
) -> list[Any]:
    lines = list[Any]()
    for name in names:
        known = [(number, value) for number, value in zip(numbers, found[name], strict=True) if value is not None]
        x, y = [number for number, _ in known], [value for _, value in known]
        lines += axes.plot(x, y, color=CURVES[name], label=name, lw=1.4, marker=marker, ms=3)
    return lines


def _first(report: TrainingReport, names: tuple[str, ...]) -> Series:
    for name in names:
        series = report.curve(name)
        if any(value is not None for value in series):
            return series
    return []
