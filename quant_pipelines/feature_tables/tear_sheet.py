"""The factor report as one HTML page that needs nothing beside it."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from quant_pipelines.calendars import session_key
from quant_pipelines.feature_tables.report import Dossier
from quant_pipelines.features.effectiveness.measures import by_month

_STRONGEST, _SHOWN = 6, 20
_SMOOTHED_SESSIONS = 20
_NOTABLE_T = 2.0
_WIDTH, _HEIGHT = 9.0, 3.2
_TEMPLATE = Path(__file__).with_name("tear_sheet.html")


def tear_sheet(dossier: Dossier) -> str:
    """The page, strongest factors first. Equal dossiers make equal pages."""
    order = strongest(dossier)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        market=dossier.market,
        session=session_key(dossier.session),
        first=session_key(dossier.sessions[0]),
        sessions=len(dossier.sessions),
        symbols=dossier.symbols,
        settings=dossier.settings,
        luck=_luck(dossier),
        plots=[(title, _drawn(draw, dossier, order)) for title, draw in _PLOTS],
        columns=list(_COLUMNS),
        rows=[_row(dossier, place) for place in order],
        clusters=dossier.clusters,
    )


def strongest(dossier: Dossier) -> list[int]:
    """The factors by the size of the t-statistic of their RankIC; those without one last, in their own order."""
    t = np.abs(dossier.summary.rank_ic.t)
    return np.argsort(-np.where(np.isnan(t), -1.0, t), kind="stable").tolist()


def _luck(dossier: Dossier) -> str:
    """What the same search would have found in noise."""
    # Imported here: it takes a second, and Dagster loads this file in every process.
    from scipy import stats

    t = dossier.summary.rank_ic.t
    t = t[~np.isnan(t)]
    if t.size == 0:
        return "No factor could be judged: too few names or sessions."
    expected = t.size * 2 * stats.norm.sf(_NOTABLE_T)
    honest = stats.norm.isf(0.025 / t.size)
    return (
        f"{int((np.abs(t) > _NOTABLE_T).sum())} of {t.size} factors have |t| > {_NOTABLE_T:g}; noise alone would give "
        f"about {expected:.0f}. A single factor found by looking at all of them needs |t| > {honest:.1f}, which "
        f"{int((np.abs(t) > honest).sum())} have."
    )


def _row(dossier: Dossier, place: int) -> list[str]:
    return [dossier.names[place], *(show(dossier, place) for show in _COLUMNS.values())]


def _number(pick: Callable[[Dossier], Any], text: str) -> Callable[[Dossier, int], str]:
    def show(dossier: Dossier, place: int) -> str:
        value = float(pick(dossier)[place])
        return "" if np.isnan(value) else format(value, text)

    return show


_COLUMNS: dict[str, Callable[[Dossier, int], str]] = {
    "IC": _number(lambda each: each.summary.ic.mean, "+.4f"),
    "ICIR": _number(lambda each: each.summary.ic.ratio, "+.3f"),
    "t(IC)": _number(lambda each: each.summary.ic.t, "+.2f"),
    "RankIC": _number(lambda each: each.summary.rank_ic.mean, "+.4f"),
    "RankICIR": _number(lambda each: each.summary.rank_ic.ratio, "+.3f"),
    "t(RankIC)": _number(lambda each: each.summary.rank_ic.t, "+.2f"),
    **{
        f"{horizon} d": _number(lambda each, horizon=horizon: each.summary.decay[horizon], "+.4f")
        for horizon in (2, 5, 10, 20)
    },
    "spread, bp": _number(lambda each: 1e4 * each.summary.quantiles.spread, "+.1f"),
    "± bp": _number(lambda each: 1e4 * each.summary.quantiles.spread_error, ".1f"),
    "turnover": _number(lambda each: each.summary.turnover, ".1%"),
    "rank autocorr.": _number(lambda each: each.summary.rank_autocorrelation, ".3f"),
    "coverage": _number(lambda each: each.summary.coverage, ".1%"),
    "sessions": lambda each, place: str(int(each.summary.rank_ic.sessions[place])),
    "dropped": lambda each, place: str(int(each.summary.rank_ic.dropped[place])),
}


def _cumulative(axes: Any, dossier: Dossier, order: Sequence[int]) -> None:
    daily = dossier.daily.rank_ic[dossier.settings.horizon_sessions]
    for place in order[:_STRONGEST]:
        axes.plot(dossier.sessions[: daily.shape[1]], np.nancumsum(daily[place]), label=dossier.names[place], lw=1.2)
    axes.axhline(0, color="#999", lw=0.6)
    axes.set_ylabel("cumulative RankIC")
    axes.legend(fontsize=7, ncols=3, frameon=False)


def _over_time(axes: Any, dossier: Dossier, order: Sequence[int]) -> None:
    daily = dossier.daily.rank_ic[dossier.settings.horizon_sessions][order[0]]
    sessions = dossier.sessions[: daily.size]
    axes.bar(sessions, daily, width=1.0, color="#b8c4e6", label=f"{dossier.names[order[0]]}, each session")
    if daily.size >= _SMOOTHED_SESSIONS:
        weights = np.ones(_SMOOTHED_SESSIONS) / _SMOOTHED_SESSIONS
        smooth = np.convolve(np.nan_to_num(daily), weights, "valid")
        axes.plot(sessions[_SMOOTHED_SESSIONS - 1 :], smooth, color="#1f3a93", lw=1.2, label="mean of 20 sessions")
    axes.set_ylabel("RankIC")
    axes.legend(fontsize=7, frameon=False)


def _histogram(axes: Any, dossier: Dossier, order: Sequence[int]) -> None:
    daily = dossier.daily.rank_ic[dossier.settings.horizon_sessions][order[0]]
    known = daily[~np.isnan(daily)]
    axes.hist(known, bins=40, color="#3a5fcd", alpha=0.8)
    if known.size:
        axes.axvline(known.mean(), color="#c0392b", lw=1.2, label=f"mean {known.mean():+.4f}, std {known.std():.3f}")
        axes.legend(fontsize=7, frameon=False)
    axes.set_xlabel(f"RankIC of {dossier.names[order[0]]} by session")


def _quantiles(axes: Any, dossier: Dossier, order: Sequence[int]) -> None:
    found, count = dossier.summary.quantiles, dossier.settings.quantiles
    for number, place in enumerate(order[:_STRONGEST]):
        at = np.arange(count) + number * (count + 1)
        axes.bar(at, 1e4 * found.means[place], yerr=1e4 * found.errors[place], color="#3a5fcd", alpha=0.85, capsize=2)
    middles = [number * (count + 1) + (count - 1) / 2 for number in range(len(order[:_STRONGEST]))]
    axes.set_xticks(middles, [dossier.names[place] for place in order[:_STRONGEST]], fontsize=7)
    axes.axhline(0, color="#999", lw=0.6)
    axes.set_ylabel("bp beyond all names")


def _spread(axes: Any, dossier: Dossier, order: Sequence[int]) -> None:
    """Summed, not compounded: what each session's quantiles earned is held for one session and paid no costs."""
    excess = dossier.daily.excess
    for place in order[:_STRONGEST]:
        spread = np.nancumsum(excess[place, -1] - excess[place, 0])
        axes.plot(dossier.sessions[: spread.size], 1e2 * spread, label=dossier.names[place], lw=1.2)
    axes.axhline(0, color="#999", lw=0.6)
    axes.set_ylabel("%, summed, before costs")
    axes.legend(fontsize=7, ncols=3, frameon=False)


def _decay(axes: Any, dossier: Dossier, order: Sequence[int]) -> None:
    for place in order[:_STRONGEST]:
        decay = dossier.summary.decay
        axes.plot(
            list(decay), [values[place] for values in decay.values()], marker="o", lw=1.2, label=dossier.names[place]
        )
    axes.axhline(0, color="#999", lw=0.6)
    axes.set_xlabel("sessions of the return")
    axes.set_ylabel("mean RankIC")
    axes.legend(fontsize=7, ncols=3, frameon=False)


def _months(axes: Any, dossier: Dossier, order: Sequence[int]) -> None:
    daily = dossier.daily.rank_ic[dossier.settings.horizon_sessions]
    labels = np.array(dossier.sessions[: daily.shape[1]], "datetime64[us]")
    shown = order[:_SHOWN]
    months = sorted({month for place in shown for month in by_month(daily[place], labels)})
    grid = np.array([[by_month(daily[place], labels).get(month, np.nan) for month in months] for place in shown])
    if not months:
        return
    largest = float(np.nanmax(np.abs(grid))) or 1.0
    image = axes.imshow(grid, aspect="auto", cmap="RdBu_r", vmin=-largest, vmax=largest)
    axes.set_xticks(range(len(months)), months, rotation=60, fontsize=6)
    axes.set_yticks(range(len(shown)), [dossier.names[place] for place in shown], fontsize=6)
    axes.figure.colorbar(image, ax=axes, fraction=0.02)


def _alike(axes: Any, dossier: Dossier, order: Sequence[int]) -> None:
    shown = order[:_SHOWN]
    image = axes.imshow(dossier.alike[np.ix_(shown, shown)], cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    names = [dossier.names[place] for place in shown]
    axes.set_xticks(range(len(shown)), names, rotation=60, fontsize=6)
    axes.set_yticks(range(len(shown)), names, fontsize=6)
    axes.figure.colorbar(image, ax=axes, fraction=0.02)


_Draw = Callable[[Any, Dossier, Sequence[int]], None]
_PLOTS: tuple[tuple[str, _Draw], ...] = (
    ("Cumulative RankIC of the strongest factors", _cumulative),
    ("Return by quantile, lowest first, with standard errors", _quantiles),
    ("Highest less lowest quantile over time", _spread),
    ("Decay: RankIC by length of the return", _decay),
    ("RankIC of the strongest factor over time", _over_time),
    ("RankIC of the strongest factor, distribution", _histogram),
    ("RankIC by month", _months),
    ("Similarity of the strongest factors: mean rank correlation", _alike),
)


def _drawn(draw: _Draw, dossier: Dossier, order: Sequence[int]) -> str:
    """The plot as SVG text; the same plot has the same text."""
    # Imported here: a process that only draws the graph of assets does not need it.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "factor_report", "font.size": 8, "axes.spines.top": False}):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        draw(figure.subplots(), dossier, order)
        sink = io.StringIO()
        figure.savefig(sink, format="svg", metadata={"Date": None})
    return sink.getvalue()[sink.getvalue().index("<svg") :]
