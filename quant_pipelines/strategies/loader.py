"""strategies.yaml, read and checked: every mistake of the file in one message."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PositiveInt, ValidationError, create_model

from quant_pipelines.documents import (
    Document,
    Entry,
    Location,
    Problem,
    closest,
    mistakes,
    named_entries,
    read_document,
)
from quant_pipelines.features.registry import FeatureRegistry
from quant_pipelines.markets import Market
from quant_pipelines.models import MODEL_KINDS, ModelSpec, kind_named, refusal_of
from quant_pipelines.strategies.strategy import Strategy

TOP = "strategies"
FOR_EACH = "for_each"
_GIVEN_BY_EACH = (("universe",), ("training", "window"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a strategy may name."""

    markets: Mapping[str, Market]
    features: Callable[[Market], FeatureRegistry]
    label_sets: Collection[str]


class ForEach(Entry, frozen=True):
    """One strategy for each symbol and number of years."""

    symbols: Annotated[tuple[str, ...], Field(min_length=1)]
    years: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


# For the hints about unknown fields alone: what may stand in an entry.
_Written: type[Entry] = create_model("_Written", __base__=Strategy, for_each=(ForEach | None, None))


def load_strategies(path: Path, known: Known) -> dict[str, Strategy]:
    """Every strategy of the file by name, the generated ones included. `strategies: {}` is a file without any."""
    document = read_document(path)
    if document.value == {TOP: {}}:
        return {}
    problems: list[Problem] = []
    strategies: dict[str, Strategy] = {}
    for name, entry in named_entries(document, TOP, problems, one="strategy").items():
        for each in _strategies(document, name, entry, problems):
            if each.name in strategies:
                text = f"makes a second strategy named {each.name!r}; rename one of them"
                problems.append(document.problem((TOP, name), text))
            strategies[each.name] = each
        problems.extend(_unknown_names(document, (TOP, name), entry, known))
    if refusal := document.refusal(problems):
        raise refusal
    return strategies


def _strategies(document: Document, name: str, entry: Mapping[str, Any], problems: list[Problem]) -> Iterator[Strategy]:
    """The entry's strategies: one, or one for each symbol and number of years."""
    at: Location = (TOP, name)
    fields = _with_plain_kind(entry)
    if FOR_EACH not in fields:
        yield from _strategy(document, at, {**fields, "name": name}, problems)
        return
    try:
        each = ForEach.model_validate(fields.pop(FOR_EACH))
    except ValidationError as error:
        problems.extend(mistakes(error, document, (*at, FOR_EACH), ForEach))
        return
    given = [where for where in _GIVEN_BY_EACH if (*at, *where) in document.lines]
    if given:
        problems.extend(
            document.problem((*at, *where), f"'{FOR_EACH}' says this for each strategy; remove it") for where in given
        )
        return
    for symbol in each.symbols:
        for years in each.years:
            found = list(_strategy(document, at, _generated(fields, name, symbol, years), problems))
            if not found:
                return
            yield from found


def _generated(fields: Mapping[str, Any], name: str, symbol: str, years: int) -> dict[str, Any]:
    training = fields.get("training", {})
    given = {"window": {"years": years}}
    return {
        **fields,
        "name": f"{name}_{symbol}_{years}y",
        "universe": {"symbols": [symbol]},
        "training": {**training, **given} if isinstance(training, dict) else training,
    }


def _with_plain_kind(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry with today's name of the model kind."""
    return {**entry, "model": _plain(entry["model"])} if "model" in entry else dict(entry)


def _plain(model: object) -> object:
    if not isinstance(model, dict):
        return model
    kind = kind_named(str(model.get("kind")))
    plain = {**model, "kind": kind.name} if kind else dict(model)
    return {**plain, "fallback": _plain(model["fallback"])} if "fallback" in model else plain


def _strategy(
    document: Document, at: Location, fields: Mapping[str, Any], problems: list[Problem]
) -> Iterator[Strategy]:
    try:
        yield Strategy.model_validate(dict(fields))
    except ValidationError as error:
        problems.extend(mistakes(error, document, at, _Written))


def _unknown_names(document: Document, at: Location, entry: Mapping[str, Any], known: Known) -> Iterator[Problem]:
    """Names of things that exist elsewhere, looked up even where other fields are wrong: all is told at once."""
    yield from _unknown(document, (*at, "label_set"), entry.get("label_set"), known.label_sets, "label set")
    yield from _unknown(document, (*at, "market"), entry.get("market"), known.markets, "market")
    market = known.markets.get(str(entry.get("market")))
    if market is not None and isinstance(entry.get("features"), list):
        registry = known.features(market)
        names = [*(each.name for each in registry.sets), *registry]
        for place, name in enumerate(entry["features"]):
            yield from _unknown(document, (*at, "features", place), name, names, "feature", shown=registry.sets)
    if isinstance(entry.get("model"), dict):
        label_set = entry.get("label_set")
        yield from _model_mistakes(document, at, ("model",), entry["model"], label_set)
        if isinstance(simpler := entry["model"].get("fallback"), dict):
            yield from _model_mistakes(document, at, ("model", "fallback"), simpler, label_set)


def _unknown(
    document: Document, at: Location, found: object, known: Collection[str], what: str, *, shown: Any = None
) -> Iterator[Problem]:
    if not isinstance(found, str) or found in known:
        return  # another type is a mistake that validation tells
    hint = closest(found, known)
    if shown is not None and not hint.startswith("did you mean"):
        hint = f"use a set ({', '.join(each.name for each in shown)}) or a name of theirs"
    yield document.problem(at, f"found the unknown {what} {found!r}; {hint}")


def _model_mistakes(
    document: Document, at: Location, where: Location, model: Mapping[str, Any], label_set: object
) -> Iterator[Problem]:
    name = model.get("kind")
    kind = kind_named(name) if isinstance(name, str) else None
    if isinstance(name, str) and kind is None:
        text = refusal_of(name) or f"found the unknown model kind {name!r}; {closest(name, MODEL_KINDS)}"
        yield document.problem((*at, *where, "kind"), text)
    if kind is None:
        return
    yield from _unknown(document, (*at, *where, "preset"), model.get("preset"), kind.preset_names, "preset")
    yield from _wrong_parameters(document, (*at, *where, "hyperparameters"), model.get("hyperparameters"), kind)
    if kind.needs_label_set is not None and label_set != kind.needs_label_set:
        text = f"found {label_set!r}, but {kind.name} learns {kind.needs_label_set!r} alone; name that"
        yield document.problem((*at, "label_set"), text)


def _wrong_parameters(document: Document, at: Location, found: object, kind: ModelSpec) -> Iterator[Problem]:
    """Names that the kind does not have, and values outside their range."""
    if not isinstance(found, dict):
        return
    if not kind.is_open:
        for name in sorted(found.keys() - kind.defaults.keys()):
            text = f"found the unknown hyper-parameter {name!r} of {kind.name}; {closest(str(name), kind.defaults)}"
            yield document.problem((*at, name), text)
    for name, text in kind.mistakes(found).items():
        yield document.problem((*at, name), f"{text}; correct it")
