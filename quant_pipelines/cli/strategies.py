"""`qp strategies`."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from quant_pipelines.cli.project import all_strategies, console, known_names
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.settings import Settings
from quant_pipelines.strategies import Choice, Strategy, TrainingWindow


class UnknownStrategy(OperatorActionRequired):
    """A strategy name that strategies.yaml does not have."""

    code = "QP107"


def strategy_named(settings: Settings, name: str) -> Strategy:
    known = all_strategies(settings)
    if name not in known:
        raise UnknownStrategy(f"{settings.strategies_path} has no strategy {name!r}. It has: {', '.join(known)}.")
    return known[name]


def strategies(
    name: Annotated[str | None, typer.Argument(help="Show this one with every value that counts.")] = None,
) -> None:
    """List the strategies, or show one in full."""
    settings = Settings()
    if name is None:
        _list(settings)
    else:
        _show(strategy_named(settings, name), settings)


def _list(settings: Settings) -> None:
    shown = Table(Column("strategy", no_wrap=True), "market", "model", "features", "labels", "window", "universe")
    for each in all_strategies(settings).values():
        shown.add_row(
            each.name, each.market, each.model.kind, ", ".join(each.features), each.label_set,
            window_text(each.training.window), escape(universe_text(each.universe)),
        )  # fmt: skip
    console.print(shown)


def _show(strategy: Strategy, settings: Settings) -> None:
    known = known_names(settings)
    registry = known.features(known.markets[strategy.market])
    columns = [feature.name for _, features in strategy.chosen(registry) for feature in features]
    shown = Table("field", "value")
    for field, value in strategy.configuration.items():
        text = ", ".join(f"{key}: {each}" for key, each in value.items()) if isinstance(value, dict) else str(value)
        shown.add_row(field, escape(text))
    shown.add_row("columns", f"{len(columns)}: {', '.join(columns[:5])}, ..." if columns else "")
    shown.add_row("sessions per prediction", str(strategy.sequence_sessions))
    shown.add_row("configuration id", strategy.digest)
    console.print(shown)


def universe_text(universe: Choice) -> str:
    """Who belongs, in a few words."""
    if universe.index is not None:
        return f"index {universe.index}"
    return "everything" if universe.symbols is None else ", ".join(universe.symbols)


def window_text(window: TrainingWindow) -> str:
    """How far back, in words."""
    ((unit, count),) = window.model_dump(exclude_none=True).items()
    return f"{count} {unit}"
