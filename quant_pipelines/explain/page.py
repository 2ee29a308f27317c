"""The explanation as one HTML page that needs nothing beside it, and its plots as pictures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quant_pipelines.explain.local import LocalExplanation
from quant_pipelines.explain.report import ExplanationReport
from quant_pipelines.training.drawing import png, svg
from quant_pipelines.training.page import rendered

_TEMPLATE = Path(__file__).with_name("page.html")
_SHOWN = 20
_RAISES, _LOWERS, _UNKNOWN = "#c0392b", "#3a5fcd", "#999999"
_TALL = 4.2


def explanation_page(report: ExplanationReport) -> str:
    """The page. Equal reports make equal pages."""
    return rendered(
        _TEMPLATE,
        report=report,
        plots=[
            (title, svg(lambda axes, draw=draw: draw(axes, report), height=_TALL)) for title, draw in _plots(report)
        ],
        local=[(each, svg(lambda axes, each=each: draw_local(axes, each))) for each in report.local],
    )


def explanation_plots(report: ExplanationReport) -> dict[str, bytes]:
    """The same plots as pictures, by title."""
    return {title: png(lambda axes, draw=draw: draw(axes, report), height=_TALL) for title, draw in _plots(report)}


def importance_picture(report: ExplanationReport) -> bytes:
    """The first of them."""
    return png(lambda axes: draw_importance(axes, report), height=_TALL)


def draw_importance(axes: Any, report: ExplanationReport) -> None:
    """The strongest columns, coloured by whether high values raise or lower the score."""
    shown = report.columns[:_SHOWN][::-1]
    colours = [_colour(each.direction) for each in shown]
    axes.barh([each.feature for each in shown], [each.importance for each in shown], color=colours)
    axes.set_xlabel(f"mean size of the contribution to the {report.score}; red: high values raise it, blue: lower it")
    axes.tick_params(axis="y", labelsize=6)


def draw_families(axes: Any, report: ExplanationReport) -> None:
    """Families of indicators, each the sum of its columns."""
    shown = report.families[:_SHOWN][::-1]
    axes.barh([each.family for each in shown], [each.share for each in shown], color=_LOWERS)
    axes.set_xlabel("share of the size of all contributions")
    axes.tick_params(axis="y", labelsize=6)


def draw_clouds(axes: Any, report: ExplanationReport) -> None:
    """Every explained row as a point, coloured by where its value stands among the column's values."""
    names = [each.feature for each in report.clouds][::-1]
    for place, cloud in enumerate(report.clouds[::-1]):
        values = np.array(cloud.values)
        rank = np.argsort(np.argsort(values, kind="stable"), kind="stable") / max(values.size - 1, 1)
        # Spread by the order of rows, not by chance: the same report has the same picture.
        offset = 0.6 * (np.arange(values.size) * 0.618_034 % 1 - 0.5)
        axes.scatter(cloud.contributions, place + offset, c=rank, cmap="coolwarm", vmin=0, vmax=1, s=4, linewidths=0)
    axes.axvline(0, color=_UNKNOWN, lw=0.6)
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.set_xlabel(f"contribution to the {report.score}; red: high values of the column, blue: low ones")


def draw_stability(axes: Any, report: ExplanationReport) -> None:
    """How much each block of sessions ranks the columns as all rows do."""
    folds = report.stability.folds
    axes.bar([f"{each.first}\n{each.last}" for each in folds], [each.agreement or 0.0 for each in folds], color=_LOWERS)
    axes.set_ylim(-1, 1)
    axes.axhline(0, color=_UNKNOWN, lw=0.6)
    axes.set_ylabel("rank correlation with all rows")


def draw_recency(axes: Any, report: ExplanationReport) -> None:
    """How much each session of the window counts."""
    found = report.recency.importance if report.recency else ()
    axes.bar(range(1 - len(found), 1), found, color=_LOWERS)
    axes.set_xlabel("sessions before the predicted one")
    axes.set_ylabel("mean size of the contribution")


def draw_local(axes: Any, found: LocalExplanation) -> None:
    """From the base to the score, column by column."""
    steps = [(each.feature, each.contribution) for each in found.contributions]
    steps.append(("all others", found.rest))
    starts = found.base + np.cumsum([0.0, *(step for _, step in steps[:-1])])
    place = np.arange(len(steps))[::-1]
    widths = [step for _, step in steps]
    axes.barh(place, widths, left=starts, color=[_RAISES if each > 0 else _LOWERS for each in widths])
    axes.axvline(found.base, color=_UNKNOWN, lw=0.8, ls="--")
    axes.axvline(found.score, color="#222", lw=0.8)
    axes.set_yticks(place, [name for name, _ in steps], fontsize=6)
    axes.set_xlabel(f"from {found.base:.4g} (dashed) to {found.score:.4g}")


_Draw = Callable[[Any, ExplanationReport], None]
_ALWAYS: Mapping[str, _Draw] = {
    "importance": draw_importance,
    "families": draw_families,
    "contributions": draw_clouds,
    "stability": draw_stability,
}


def _plots(report: ExplanationReport) -> list[tuple[str, _Draw]]:
    return [*_ALWAYS.items(), *([("recency", draw_recency)] if report.recency else [])]


def _colour(direction: float | None) -> str:
    if direction is None:
        return _UNKNOWN
    return _RAISES if direction > 0 else _LOWERS
