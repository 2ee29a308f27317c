"""What must hold of a published feature table: shape, numbers, coverage, and that no value knew the future."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.feature_tables.publish import FeaturePublisher
from quant_pipelines.features.alpha158.catalogue import FACTORS
from quant_pipelines.features.registry import FeatureKind
from quant_pipelines.lake import Window
from quant_pipelines.prices import look_back

LEAST_COVERAGE = 0.95
# Cuts are tried in the run's sessions and in so many before them: what a refresh of one day appends may be
# right while an older row is not.
TRIED_SESSIONS = 250
TRIED_SYMBOLS = 50
TRIED_CUTS = 5
_EXAMPLES = 5
Examples = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Broken:
    """What a rule found where it does not hold."""

    found: str
    examples: Examples = ()


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a rule judges: some sessions of a published table."""

    publisher: FeaturePublisher
    window: Window
    seed: int

    @cached_property
    def rows(self) -> pa.Table:
        return self.publisher.table.read(self.window)

    @cached_property
    def prices(self) -> pa.Table:
        return self.publisher.prices.read(self.window, columns=[SESSION, SYMBOL, "close"])

    @cached_property
    def columns(self) -> dict[str, NDArray[np.float32]]:
        return {name: _numbers(self.rows[name]) for name in self.publisher.features.names}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRule:
    """A rule by name. Downstream waits for the blocking ones."""

    name: str
    expects: str
    blocking: bool
    judge: Callable[[Material], Broken | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A rule, and what was found where it does not hold."""

    rule: FeatureRule
    broken: Broken | None


def judge_features(publisher: FeaturePublisher, window: Window, *, seed: int) -> list[Judgement]:
    """Every rule over the window, a chunk at a time; of several broken chunks the first is told."""
    chunks = publisher.chunks(window)
    found: dict[str, Broken] = {}
    for chunk in chunks:
        material = Material(publisher=publisher, window=chunk, seed=seed)
        for rule in RULES:
            if rule.name not in found and (broken := rule.judge(material)) is not None:
                found[rule.name] = broken
    return [Judgement(rule=rule, broken=found.get(rule.name)) for rule in RULES]


def _wrong_shape(material: Material) -> Broken | None:
    """The lake refuses other names and types; a catalogue that grew or shrank, and lost rows, are seen here."""
    features, found = material.publisher.features, len(material.columns)
    expected = len(FACTORS) if features.name == FeatureKind.ALPHA158 else len(features.names)
    if found != expected:
        return Broken(f"{found} columns, not {expected}.")
    keys = [material.prices[SESSION], material.prices[SYMBOL]]
    if [material.rows[SESSION], material.rows[SYMBOL]] != keys:
        return Broken(f"{material.rows.num_rows} rows whose keys are not those of {len(keys[0])} rows of prices.")
    return None


def _infinite(material: Material) -> Broken | None:
    counts = {name: int(np.isinf(values).sum()) for name, values in material.columns.items()}
    broken = {name: count for name, count in counts.items() if count}
    if not broken:
        return None
    examples = [{"column": name, "infinite": str(count)} for name, count in islice(broken.items(), _EXAMPLES)]
    return Broken(f"{sum(broken.values())} infinite values in {len(broken)} columns.", examples)


def _empty_column(material: Material) -> Broken | None:
    empty = [name for name, values in material.columns.items() if values.size and np.isnan(values).all()]
    if not empty:
        return None
    return Broken(f"{len(empty)} columns have no value at all.", [{"column": each} for each in empty[:_EXAMPLES]])


def _uncovered(material: Material) -> Broken | None:
    """Of the names that traded, how many have at least one feature."""
    shown = np.zeros(material.rows.num_rows, bool)
    for values in material.columns.values():
        shown |= ~np.isnan(values)
    covered = _by_session(material.rows, shown)
    traded = _by_session(material.prices, ~np.isnan(material.prices["close"].to_numpy()))
    shares = {each: covered.get(each, 0) / count for each, count in traded.items()}
    thin = {each: share for each, share in shares.items() if share < LEAST_COVERAGE}
    if not thin:
        return None
    examples = [
        {"session": session_key(each), "covered": f"{share:.1%}"} for each, share in islice(thin.items(), _EXAMPLES)
    ]
    return Broken(f"{len(thin)} sessions have features for less than {LEAST_COVERAGE:.0%} of the names.", examples)


def _knows_the_future(material: Material) -> Broken | None:
    """For sampled cuts and symbols: compute anew from prices that end at the cut, and compare with the table."""
    publisher = material.publisher
    random = np.random.default_rng(material.seed)
    cuts = _cuts(material, random)
    if not cuts:
        return None
    names = publisher.prices.read(Window(cuts[-1], cuts[-1]), columns=[SYMBOL])[SYMBOL].to_pylist()
    symbols: list[str] = sorted(random.permutation(np.array(names, dtype=object))[:TRIED_SYMBOLS].tolist())
    known = publisher.read(Window(cuts[0], cuts[-1]), symbols=symbols)
    changed = [each for cut in cuts for each in _changed(publisher, known, cut, symbols)]
    if not changed:
        return None
    return Broken(f"{len(changed)} values are not those that were known at the time.", changed[:_EXAMPLES])


def _cuts(material: Material, random: np.random.Generator) -> list[Session]:
    """The window's newest session, which nobody has looked at yet, and others of it and the year before at chance."""
    publisher, window = material.publisher, material.window
    earliest = look_back(
        publisher.market.sessions_calendar, window.first, TRIED_SESSIONS, earliest=publisher.market.begins
    )
    *others, newest = sorted(publisher.table.session_ids(Window(earliest, window.last))) or [None]
    if newest is None:
        return []
    return [*(others[place] for place in sorted(random.permutation(len(others))[: TRIED_CUTS - 1].tolist())), newest]


def _changed(publisher: FeaturePublisher, known: pa.Table, cut: Session, symbols: Sequence[str]) -> Examples:
    """The cut's values that the table holds otherwise, bit by bit; NaN is NaN whatever its bits."""
    at_cut = Window(cut, cut)
    labels = known[SESSION].to_numpy()
    bounds = (np.datetime64(each, "us") for each in (publisher.reach(cut), cut))
    first, last = next(bounds), next(bounds)
    prices = known.filter(pa.array((labels >= first) & (labels <= last)))
    anew = publisher.values(prices, at_cut)
    rows = publisher.table.read(at_cut, symbols=symbols)
    held = np.stack([_numbers(rows[name]) for name in publisher.features.names])
    if held.shape != anew.shape:
        return [{"session": session_key(cut), "found": f"{held.shape[1]} rows", "expected": f"{anew.shape[1]} rows"}]
    same = (held.view(np.uint32) == anew.view(np.uint32)) | (np.isnan(held) & np.isnan(anew))
    return [
        {
            "session": session_key(cut),
            "symbol": rows[SYMBOL][column].as_py(),
            "feature": publisher.features.names[row],
            "held": repr(float(held[row, column])),
            "known at the time": repr(float(anew[row, column])),
        }
        for row, column in np.argwhere(~same).tolist()
    ]


def _by_session(rows: pa.Table, chosen: NDArray[np.bool_]) -> dict[Session, int]:
    labels, counts = np.unique(rows[SESSION].to_numpy()[chosen], return_counts=True)
    return dict(zip(labels.astype("datetime64[us]").astype(object).tolist(), counts.tolist(), strict=True))


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float32]:
    return column.to_numpy().astype(np.float32, copy=False)


RULES = (
    FeatureRule(
        name="shape",
        expects="Every column of the catalogue, no other, and a row for every row of prices",
        blocking=True,
        judge=_wrong_shape,
    ),
    FeatureRule(name="no_infinities", expects="Every value finite or missing", blocking=True, judge=_infinite),
    FeatureRule(
        name="no_empty_column", expects="A value somewhere in every column", blocking=False, judge=_empty_column
    ),
    FeatureRule(
        name="coverage",
        expects=f"Every session, features for {LEAST_COVERAGE:.0%} of the names that traded",
        blocking=False,
        judge=_uncovered,
    ),
    FeatureRule(
        name="past_does_not_change",
        expects="Bit by bit the values that prices cut at the session give",
        blocking=True,
        judge=_knows_the_future,
    ),
)
