"""What is needed to do again what is on record, and how it is shown."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Column, Table

from quant_pipelines.cli.project import console, open_lake
from quant_pipelines.clock import SystemClock
from quant_pipelines.code import code_version
from quant_pipelines.deployment.page import number
from quant_pipelines.holdout import Exchange
from quant_pipelines.labels import Venue
from quant_pipelines.markets import Market, TradingRules, load_rules
from quant_pipelines.models import Machine
from quant_pipelines.registry import open_models
from quant_pipelines.reproduction import Check, Outcome, Reproducer, Retrainer
from quant_pipelines.settings import Settings
from quant_pipelines.snapshots import open_snapshots
from quant_pipelines.snapshots.verifying import Progress, Verifier
from quant_pipelines.sources import open_fallback, open_source, who_answers
from quant_pipelines.training import Progress as Training
from quant_pipelines.training import surroundings

_DIGITS, _ID_LENGTH = 16, 64
# The ends of an interval, and what a line needs and answers, say little where they are equal.
_FINE = (" low", " high", ", needed", ", answer")
_COLOURS: dict[Outcome, str] = {"same": "green", "within": "green", "different": "bold red", "not_asked": "dim"}


def retrainer_of(settings: Settings, tolerance: float | None, tell: Progress) -> Retrainer:
    """Trains again on this machine, with this code."""

    def heard(progress: Training) -> None:
        tell(f"training again, {progress.percent:.0f} %")

    return Retrainer(
        snapshots=open_snapshots(settings),
        here=surroundings(code_version()),
        clock=SystemClock(),
        listener=heard,
        machine=Machine(threads=settings.threads),
        tolerance=tolerance,
    )


def reproducer_of(settings: Settings, market: Market, tolerance: float | None, tell: Progress) -> Reproducer:
    """Reproduces decisions of a market."""
    clock, lake = SystemClock(), open_lake(settings)
    source = who_answers(open_source(market, clock), open_fallback(market, clock)).source
    rules = TradingRules(load_rules(market.rules), market.sessions_calendar)
    venue = Venue(rules=rules, listings=source.listings(), prices_are_raw=source.prices_are_raw)
    retrainer = retrainer_of(settings, tolerance, tell)
    return Reproducer(
        models=open_models(settings, clock=clock),
        retrainer=retrainer,
        verifier=Verifier(lake=lake, store=retrainer.snapshots, threads=settings.threads),
        exchange=Exchange(market=market, lake=lake, venue=venue),
        tell=tell,
    )


def show_checks(title: str, checks: Sequence[Check], *, each: bool) -> None:
    """What is on record beside what was found. Without `each` the equal ends of intervals are left out."""
    columns = (Column(name, overflow="fold") for name in ("what", "recorded", "found"))
    shown = Table(*columns, Column("result", no_wrap=True), title=escape(title), title_justify="left")
    left_out = 0
    for found in checks:
        if not each and found.outcome == "same" and found.name.endswith(_FINE):
            left_out += 1
            continue
        colour = _COLOURS[found.outcome]
        values = (escape(_text(value, found.outcome)) for value in (found.recorded, found.found))
        shown.add_row(escape(found.name), *values, f"[{colour}]{found.outcome}[/]")
    if left_out:
        shown.caption = f"and {left_out} more that are the same; --each shows them"
        shown.caption_justify = "left"
    console.print(shown)


def _text(value: str | float | None, outcome: Outcome) -> str:
    """With every digit where two numbers are not the same: what differs may be the last one."""
    if isinstance(value, str):
        return value[:_DIGITS] if len(value) == _ID_LENGTH else value
    if value is None:
        return ""
    return number(value) if outcome == "same" else repr(value)
