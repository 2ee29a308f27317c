"""Up to four models side by side (S2-33)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from quant_pipelines.documents import Entry
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.models import Value
from quant_pipelines.training.curves import curves, loss_name
from quant_pipelines.training.drawing import svg
from quant_pipelines.training.page import duration, rendered
from quant_pipelines.training.report import TrainingReport

MOST_MODELS = 4
_FEWEST = 2
_FEATURES = 15
_TEMPLATE = Path(__file__).with_name("comparison.html")
# Every other measure is better where it is higher.
_LOWER_IS_BETTER = ("mse", "rmse", "mae", "loss")
_COLOURS = ("#3a5fcd", "#f97316", "#10b981", "#8b5cf6")


class ComparisonRefused(OperatorActionRequired, ValueError):
    """Models that cannot be compared: too many, too few, or one twice."""

    code: ClassVar[str] = "QP196"


class MetricRow(Entry, frozen=True):
    """One measure of each model, None where it was not taken; `best` is the model's place, None where all are equal."""

    metric: str
    values: tuple[float | None, ...]
    best: int | None


class ParameterRow(Entry, frozen=True):
    """One hyper-parameter in which the models differ; None: a model has no such one."""

    parameter: str
    values: tuple[Value | None, ...]


class FeatureRow(Entry, frozen=True):
    """One feature's share of each model's importance; None where the model knows none."""

    feature: str
    shares: tuple[float | None, ...]


class Compared(Entry, frozen=True):
    """Who a model is, and how it was trained."""

    name: str
    model_id: str
    kind: str
    duration: float
    total_epochs: int
    best_epoch: int
    loss: str
    curves: dict[str, list[float | None]]


class ModelComparison(Entry, frozen=True):
    """Models in the order in which they were named; every row has a value for each."""

    models: tuple[Compared, ...]
    metrics: tuple[MetricRow, ...]
    parameters: tuple[ParameterRow, ...]
    features: tuple[FeatureRow, ...]
    same_data: bool


def compare(reports: Sequence[TrainingReport]) -> ModelComparison:
    """Measures, differing hyper-parameters, importances and curves side by side."""
    _require_comparable(reports)
    return ModelComparison(
        models=tuple(
            Compared(
                name=name,
                model_id=each.model_id,
                kind=each.model_kind,
                duration=each.training_duration,
                total_epochs=each.total_epochs,
                best_epoch=each.best_epoch,
                loss=loss_name(each),
                curves=curves(each),
            )
            for name, each in zip(_names(reports), reports, strict=True)
        ),
        metrics=tuple(_metric(name, reports) for name in _keys([each.final_metrics for each in reports])),
        parameters=tuple(_differing(reports)),
        features=tuple(_features(reports)),
        same_data=len({each.data_info.get("snapshot") for each in reports}) == 1,
    )


def comparison_page(comparison: ModelComparison) -> str:
    """The comparison as one HTML page that needs nothing beside it."""
    losses = [each for each in comparison.models if each.curves]
    return rendered(
        _TEMPLATE,
        comparison=comparison,
        durations=[duration(each.duration) for each in comparison.models],
        curves=svg(lambda axes: draw_validation(axes, comparison)) if losses else None,
        importance=svg(lambda axes: draw_shares(axes, comparison), height=4.2) if comparison.features else None,
    )


def draw_validation(axes: Any, comparison: ModelComparison) -> None:
    """Each model's loss by epoch relative to its first: kinds measure theirs in different units."""
    for colour, each in zip(_COLOURS, comparison.models, strict=False):
        series = each.curves.get("val_loss") or each.curves.get("train_loss") or []
        known = [(epoch, value) for epoch, value in enumerate(series, 1) if value is not None]
        if known and known[0][1]:
            relative = [value / known[0][1] for _, value in known]
            axes.plot([epoch for epoch, _ in known], relative, color=colour, lw=1.4, label=each.name)
    axes.set_xlabel("epoch or iteration")
    axes.set_ylabel("loss, relative to the first")
    if axes.lines:
        axes.legend(fontsize=7, frameon=False)


def draw_shares(axes: Any, comparison: ModelComparison) -> None:
    """Shares of importance, feature by feature."""
    shown, count = comparison.features[::-1], len(comparison.models)
    for place, (colour, each) in enumerate(zip(_COLOURS, comparison.models, strict=False)):
        at = [row + (count - 1 - place) * 0.8 / count for row in range(len(shown))]
        axes.barh(at, [row.shares[place] or 0.0 for row in shown], height=0.8 / count, color=colour, label=each.name)
    axes.set_yticks([row + 0.4 - 0.4 / count for row in range(len(shown))], [row.feature for row in shown], fontsize=6)
    axes.set_xlabel("share of the model's importance")
    axes.legend(fontsize=7, frameon=False)


def _require_comparable(reports: Sequence[TrainingReport]) -> None:
    if not _FEWEST <= len(reports) <= MOST_MODELS:
        raise ComparisonRefused(
            f"{len(reports)} models were named; {_FEWEST} to {MOST_MODELS} can be compared. Choose fewer, or more."
        )
    ids = [each.model_id for each in reports]
    twice = sorted({each for each in ids if ids.count(each) > 1})
    if twice:
        raise ComparisonRefused(f"The model {twice[0][:16]} was named more than once. Name each model once.")


def _names(reports: Sequence[TrainingReport]) -> list[str]:
    """Versions of one model are told apart by the beginning of their id."""
    names = [each.model_name for each in reports]
    return [
        name if names.count(name) == 1 else f"{name} {each.model_id[:8]}"
        for name, each in zip(names, reports, strict=True)
    ]


def _metric(name: str, reports: Sequence[TrainingReport]) -> MetricRow:
    values = tuple(each.final_metrics.get(name) for each in reports)
    known = {place: value for place, value in enumerate(values) if value is not None}
    best = None
    if len(set(known.values())) > 1:
        lower = name.rsplit("_", maxsplit=1)[-1] in _LOWER_IS_BETTER
        best = (min if lower else max)(known, key=lambda place: known[place])
    return MetricRow(metric=name, values=values, best=best)


def _differing(reports: Sequence[TrainingReport]) -> list[ParameterRow]:
    rows = [
        ParameterRow(parameter=name, values=tuple(each.hyperparameters.get(name) for each in reports))
        for name in _keys([each.hyperparameters for each in reports])
    ]
    # By their text: True and 1 are equal to Python, and are different settings.
    return [row for row in rows if len({repr(value) for value in row.values}) > 1]


def _features(reports: Sequence[TrainingReport]) -> list[FeatureRow]:
    """Those that any model holds for strong, the greatest mean share first."""
    shares = [_shares(each) for each in reports]
    strong = _keys([dict(each.strongest[:_FEATURES]) for each in reports])
    rows = [
        FeatureRow(feature=name, shares=tuple(each.get(name, 0.0) if each else None for each in shares))
        for name in strong
    ]
    return sorted(rows, key=lambda row: -sum(share or 0.0 for share in row.shares))[:_FEATURES]


def _shares(report: TrainingReport) -> dict[str, float]:
    found = {name: abs(value) for name, value in (report.feature_importance or {}).items()}
    total = sum(found.values())
    return {name: value / total for name, value in found.items()} if total > 0 else dict.fromkeys(found, 0.0)


def _keys(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """All names, in the order in which they first come."""
    return list(dict.fromkeys(name for each in found for name in each))
