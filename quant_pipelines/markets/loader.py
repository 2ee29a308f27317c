"""markets.yaml, read and checked: every mistake of the file in one message."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from quant_pipelines.calendars import UnknownCalendar, calendar_named
from quant_pipelines.calendars.named import DAILY, STEPS
from quant_pipelines.documents import Document, Entry, Location, Problem, mistakes, named_entries, read_document
from quant_pipelines.markets.market import Market
from quant_pipelines.markets.rules import UnknownRules, load_rules

TOP = "markets"
CRYPTO_RULES = "crypto"

Part = TypeVar("Part", bound=Entry)


def load_markets(path: Path, *, liquid_symbols: tuple[str, ...] | None = None) -> dict[str, Market]:
    """Every market of the file by name. Paths in it are relative to the file.

    `liquid_symbols` replaces the listed universe of each market with crypto rules, so that one setting
    feeds them all (S1-65).
    """
    document = read_document(path)
    problems: list[Problem] = []
    markets: dict[str, Market] = {}
    for name, entry in named_entries(document, TOP, problems, one="market").items():
        market = _market(document, name, entry, problems)
        if market is not None:
            markets[name] = _with_symbols(_placed(market, path.parent.absolute()), liquid_symbols)
    if refusal := document.refusal(problems):
        raise refusal
    return markets


def _market(document: Document, name: str, fields: Mapping[str, Any], problems: list[Problem]) -> Market | None:
    at: Location = (TOP, name)
    unknown = list(_unknown_names(document, at, fields))
    problems.extend(unknown)
    try:
        market = Market.model_validate({**fields, "name": name})
    except ValidationError as error:
        problems.extend(mistakes(error, document, at, Market))
        return None
    except UnknownCalendar:
        return None
    problems.extend(_contradictions(document, at, market))
    return None if unknown else market


def _unknown_names(document: Document, at: Location, entry: Mapping[str, Any]) -> Iterator[Problem]:
    """The calendar and the rules, looked up even where other fields are wrong, so that all is told at once."""
    calendar, bar, rules = entry.get("calendar"), entry.get("bar", DAILY), entry.get("rules")
    try:
        if isinstance(calendar, str) and isinstance(bar, str) and bar in STEPS:
            calendar_named(calendar, bar)
    except UnknownCalendar as error:
        yield document.problem((*at, "calendar"), str(error))
    try:
        if isinstance(rules, str):
            load_rules(rules)
    except UnknownRules as error:
        yield document.problem((*at, "rules"), str(error))


def _contradictions(document: Document, at: Location, market: Market) -> Iterator[Problem]:
    if market.universe.symbols is not None and market.universe.file is not None:
        yield document.problem((*at, "universe"), "found both 'symbols' and 'file'; keep the one that is meant")
    if market.universe.symbols is not None:
        twice = sorted({each for each in market.universe.symbols if market.universe.symbols.count(each) > 1})
        if twice or not market.universe.symbols:
            found = f"{', '.join(twice)} more than once" if twice else "an empty list"
            yield document.problem((*at, "universe", "symbols"), f"found {found}, expected each symbol once")


def _with_symbols(market: Market, symbols: tuple[str, ...] | None) -> Market:
    if symbols is None or market.rules != CRYPTO_RULES or market.universe.symbols is None:
        return market
    return market.model_copy(update={"universe": market.universe.model_copy(update={"symbols": symbols})})


def _placed(part: Part, folder: Path) -> Part:
    """The same entry with every path made absolute: who starts the process must not matter."""
    placed: dict[str, Any] = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, Path):
            placed[name] = folder / value.expanduser()
        elif isinstance(value, Entry):
            placed[name] = _placed(value, folder)
    return part.model_copy(update=placed)
