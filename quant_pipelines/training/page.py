"""The report of a training as one HTML page that needs nothing beside it (S2-48..50)."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from quant_pipelines.training.curves import draw_curves
from quant_pipelines.training.drawing import png, svg
from quant_pipelines.training.report import TrainingReport

_TEMPLATE = Path(__file__).with_name("page.html")
_SHOWN_FEATURES = 20
# The first that a training has is its accuracy; all are shares of 1.
_ACCURACIES: Mapping[str, str] = {
    "validation_accuracy": "Final accuracy",
    "validation_direction_accuracy": "Final accuracy, of the direction",
    "train_accuracy": "Final accuracy, on training rows",
    "train_direction_accuracy": "Final accuracy, of the direction, on training rows",
}
_MAIN = ("validation_mse", "validation_log_loss", "train_mse", "train_log_loss")


def training_page(report: TrainingReport) -> str:
    """The page. Equal reports make equal pages."""
    return rendered(
        _TEMPLATE,
        report=report,
        headline=headline(report),
        curves=svg(lambda axes: draw_curves(axes, report)) if report.training_history else None,
        importance=svg(lambda axes: draw_importance(axes, report)) if _has_importance(report) else None,
        hyperparameters=json.dumps(report.hyperparameters, indent=2, sort_keys=True),
        download=base64.b64encode(report.model_dump_json(indent=2).encode()).decode(),
    )


def headline(report: TrainingReport) -> dict[str, str]:
    """Duration, final accuracy, total and best epoch, as a person reads them (S2-48)."""
    name, accuracy = final_accuracy(report)
    return {
        "Training duration": duration(report.training_duration),
        name: accuracy,
        "Total epochs": str(report.total_epochs),
        "Best epoch": str(report.best_epoch),
    }


def final_accuracy(report: TrainingReport) -> tuple[str, str]:
    """Its name, and in percent with two decimals; the main measure where there is no accuracy."""
    for measure, name in _ACCURACIES.items():
        if measure in report.final_metrics:
            return name, f"{report.final_metrics[measure]:.2%}"
    for measure in _MAIN:
        if measure in report.final_metrics:
            return measure, f"{report.final_metrics[measure]:.6g}"
    return "Final accuracy", "none was measured"


def duration(seconds: float) -> str:
    """`8.1 s`, `2 min 05 s`, `1 h 02 min`."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left:02d} min" if hours else f"{minutes} min {rest:02d} s"


def curves_png(report: TrainingReport) -> bytes | None:
    """The curves as a picture; None where nothing was measured on the way."""
    return png(lambda axes: draw_curves(axes, report)) if report.training_history else None


def importance_png(report: TrainingReport) -> bytes | None:
    """The strongest features as a picture; None where the model knows none."""
    return png(lambda axes: draw_importance(axes, report)) if _has_importance(report) else None


def draw_importance(axes: Any, report: TrainingReport) -> None:
    """The strongest features, the greatest at the top."""
    shown = report.strongest[:_SHOWN_FEATURES][::-1]
    axes.barh([name for name, _ in shown], [value for _, value in shown], color="#3a5fcd")
    axes.set_xlabel(report.importance_is or "importance")
    axes.tick_params(axis="y", labelsize=6)


def rendered(template: Path, **values: Any) -> str:
    """A page of a template beside its module. Everything in it is escaped, but for our own plots."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template.read_text(encoding="utf-8")).render(**values)


def _has_importance(report: TrainingReport) -> bool:
    return bool(report.feature_importance)
