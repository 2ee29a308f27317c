"""`qp experiment`: versions side by side on shares of the universe."""

from typing import Annotated

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table

from quant_pipelines.calendars import Session, parse_session, session_key
from quant_pipelines.cli.project import console, market_named, open_lake
from quant_pipelines.cli.strategies import strategy_named
from quant_pipelines.clock import SystemClock
from quant_pipelines.deployment import Arm, Experiment, Ref, ending, experiments, find, results, stop
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.journal import Journal, open_journal
from quant_pipelines.predictions import begin, outcomes
from quant_pipelines.registry import ModelStore, open_models
from quant_pipelines.settings import Settings

experiment = typer.Typer(no_args_is_help=True, help="Compare versions on shares of the universe while they serve.")

Name = Annotated[str, typer.Argument(help="The experiment's name.")]
_MEASURE = "ic"


class BadArms(OperatorActionRequired):
    """Arms that make no experiment."""

    code = "QP194"


@experiment.command()
def create(
    name: Name,
    model: Annotated[str, typer.Option(help="market.strategy, e.g. demo.demo_lightgbm.")],
    arm: Annotated[list[str], typer.Option(help="NAME=VERSION:SHARE, the champion first, e.g. old=1:0.5.")],
    since: Annotated[str, typer.Option(help="The session after which it counts.")],
    planned_sessions: Annotated[int, typer.Option(help="After how many sessions the answer is sharpest.")] = 250,
    actor: Annotated[str, typer.Option("--as", help="Who begins it.")] = "qp",
) -> None:
    """Begin an experiment: from the next session on, each arm's version serves its share of the champion's symbols."""
    journal, store = _journal(), open_models(Settings(), clock=SystemClock())
    try:
        value = Experiment(
            name=name,
            model=model,
            arms=tuple(_arm(store, model, each) for each in arm),
            measure=_MEASURE,
            since=parse_session(since),
            planned_sessions=planned_sessions,
        )
    except ValidationError as error:
        raise BadArms(
            f"That is no experiment: {error.errors()[0]['msg']}. See `qp experiment create --help`."
        ) from error
    begin(journal, value, actor=actor)
    console.print(f"{name} runs on {model} from the session after {since}.", markup=False)


@experiment.command(name="stop")
def end(
    name: Name,
    why: Annotated[str, typer.Option(help="The reason; it goes on record.")],
    session: Annotated[str, typer.Option(help="The last session that counts.")],
    actor: Annotated[str, typer.Option("--as", help="Who stops it.")] = "qp",
) -> None:
    """End an experiment; the champion serves its symbols again, and what was found stays."""
    stop(_journal(), name, session=parse_session(session), reason=why, actor=actor)
    console.print(f"{name} is stopped.", markup=False)


@experiment.command(name="list")
def list_all() -> None:
    """Every experiment, the oldest first."""
    journal = _journal()
    shown = Table("experiment", "model", "arms", "since", "until")
    for each in experiments(journal):
        stopped = ending(journal, each.name)
        arms = ", ".join(f"{arm.name} {arm.share:.0%}" for arm in each.arms)
        until = "" if stopped is None else session_key(stopped.session)
        shown.add_row(each.name, each.model, escape(arms), session_key(each.since), until)
    console.print(shown)


@experiment.command(name="results")
def show(name: Name) -> None:
    """What the sessions so far say. One may look after every session: that costs nothing."""
    settings, journal = Settings(), _journal()
    value = find(journal, name)
    market, _, strategy = value.model.partition(".")
    label_set = strategy_named(settings, strategy).label_set
    found = outcomes(open_lake(settings), value, label_set, through=_closed(settings, market))
    result = results(value, found, ending(journal, name))
    shown = Table("arm", "finding", "sessions", "gain", "interval", "smallest gain it can show")
    for each in result.comparisons:
        interval = "" if each.low is None or each.high is None else f"{each.low:+.4f} .. {each.high:+.4f}"
        smallest = "" if each.smallest_detectable is None else f"{each.smallest_detectable:.4f}"
        gain = "" if each.gain is None else f"{each.gain:+.4f}"
        shown.add_row(each.arm, each.finding, str(each.sessions), gain, interval, smallest)
    console.print(shown)
    console.print(result.text, markup=False)


def _arm(store: ModelStore, model: str, text: str) -> Arm:
    name, _, rest = text.partition("=")
    number, _, share = rest.partition(":")
    try:
        wanted, part = int(number), float(share)
    except ValueError as error:
        raise BadArms(f"{text!r} is no arm. Write NAME=VERSION:SHARE, e.g. new=2:0.5.") from error
    version = store.version(model, wanted)
    return Arm(name=name, version=Ref(number=version.number, id=version.id), share=part)


def _closed(settings: Settings, market: str) -> Session:
    return market_named(settings, market).sessions_calendar.last_closed(SystemClock().now())


def _journal() -> Journal:
    return open_journal(Settings(), clock=SystemClock())
