"""What must hold of published labels: whole, none before its close, and none that knew what came after its span."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from itertools import islice

import numpy as np
import pyarrow as pa

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.clock import Clock
from quant_pipelines.label_tables.publish import LabelPublisher, longest_span
from quant_pipelines.labels import KEY, LABEL_SET, LabelSet
from quant_pipelines.lake import Window
from quant_pipelines.lineage.made_from import MADE_FROM
from quant_pipelines.prices import look_ahead, look_back

# Signals are tried in the run's sessions and in so many before them.
TRIED_SESSIONS = 250
TRIED_SIGNALS = 5
_EXAMPLES = 5
Examples = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Broken:
    """What a rule found where it does not hold."""

    found: str
    examples: Examples = ()


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a rule judges: some sessions of the published table."""

    publisher: LabelPublisher
    window: Window
    clock: Clock
    seed: int

    @cached_property
    def rows(self) -> pa.Table:
        return self.publisher.table.read(self.window, columns=[*KEY, "opens", "resolves", "value"])

    @cached_property
    def keys(self) -> pa.Table:
        """Of prices, in order."""
        return self.publisher.prices.read(self.window, columns=[SESSION, SYMBOL])

    def of(self, label_set: LabelSet) -> pa.Table:
        return _of_set(self.rows, label_set)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRule:
    """A rule by name. Downstream waits for the blocking ones."""

    name: str
    expects: str
    blocking: bool
    judge: Callable[[Material], Broken | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A rule, and what was found where it does not hold."""

    rule: LabelRule
    broken: Broken | None


def judge_labels(publisher: LabelPublisher, window: Window, *, clock: Clock, seed: int) -> list[Judgement]:
    """Every rule over the window, a chunk at a time; of several broken chunks the first is told."""
    found: dict[str, Broken] = {}
    for chunk in publisher.chunks(window):
        material = Material(publisher=publisher, window=chunk, clock=clock, seed=seed)
        for rule in RULES:
            if rule.name not in found and (broken := rule.judge(material)) is not None:
                found[rule.name] = broken
    return [Judgement(rule=rule, broken=found.get(rule.name)) for rule in RULES]


def _wrong_shape(material: Material) -> Broken | None:
    """Names and types are the lake's to refuse; lost rows and rows of nobody are seen here."""
    publisher = material.publisher
    known = {each.name for each in publisher.sets}
    strangers = sorted(set(material.rows[LABEL_SET].unique().to_pylist()) - known)
    if strangers:
        return Broken(f"Rows of unknown label sets: {', '.join(strangers)}.")
    spans, calendar = publisher.spans(material.window), publisher.market.sessions_calendar
    sessions = calendar.sessions(material.window.first, material.window.last)
    for label_set in publisher.sets:
        closed = [each for each in sessions if label_set in spans.closed(each)]
        labelled = material.keys[SESSION].to_numpy()
        expected = material.keys.filter(pa.array(np.isin(labelled, np.array(closed, "datetime64[us]"))))
        rows = material.of(label_set)
        if [rows[SESSION], rows[SYMBOL]] != [expected[SESSION], expected[SYMBOL]]:
            return Broken(
                f"{rows.num_rows} rows of {label_set.name}, whose keys are not those of the {expected.num_rows} prices "
                "of sessions whose span has closed."
            )
    return None


def _before_its_close(material: Material) -> Broken | None:
    """By calendar and clock alone, whatever prices say."""
    calendar = material.publisher.market.sessions_calendar
    now = np.datetime64(material.clock.now().astimezone(UTC).replace(tzinfo=None), "us")
    for label_set in material.publisher.sets:
        rows = material.of(label_set)
        signals, codes = np.unique(rows[SESSION].to_numpy(), return_inverse=True)
        spans = [label_set.span(each, calendar) for each in signals.astype("datetime64[us]").astype(object).tolist()]
        opens, resolves = (
            np.array(each, "datetime64[us]") for each in (zip(*spans, strict=True) if spans else ((), ()))
        )
        closes = np.array([calendar.close_of(each).replace(tzinfo=None) for _, each in spans], "datetime64[us]")
        wrong = (rows["opens"].to_numpy() != opens[codes]) | (rows["resolves"].to_numpy() != resolves[codes])
        early = closes[codes] > now
        if broken := int((wrong | early).sum()):
            first = rows.slice(int(np.argmax(wrong | early)), 1).to_pylist()
            return Broken(
                f"{broken} rows of {label_set.name} have another span, or one that is still open.", _told(first)
            )
    return None


def _empty_set(material: Material) -> Broken | None:
    counts = {each.name: material.of(each)["value"] for each in material.publisher.sets}
    empty = [name for name, values in counts.items() if len(values) and values.null_count == len(values)]
    return Broken(f"{', '.join(empty)}: no label has a value.") if empty else None


def _knows_what_came_later(material: Material) -> Broken | None:
    """For sampled signals: each label anew from prices that end where it resolves, bit by bit."""
    signals = _signals(material)
    changed = [
        each
        for signal in signals
        for label_set in material.publisher.sets
        for each in _changed(material.publisher, signal, label_set)
    ]
    if not changed:
        return None
    return Broken(f"{len(changed)} labels are not those that were known when they resolved.", changed[:_EXAMPLES])


def _signals(material: Material) -> list[Session]:
    """Of the window and the year before it, at chance; rows whose prices were corrected since are stale, no leak."""
    publisher, window = material.publisher, material.window
    earliest = _year_before(material)
    fresh, _stale = publisher.fresh(Window(earliest, window.last))
    random = np.random.default_rng(material.seed)
    tried = [fresh[place] for place in sorted(random.permutation(len(fresh))[:TRIED_SIGNALS].tolist())]
    # The newest labels are those that a mistake about closing would show in.
    newest = [each for each in fresh if each in window][-longest_span(publisher.sets) :]
    return sorted({*tried, *newest})


def _overdue(material: Material) -> Broken | None:
    """Labels follow their prices by Dagster's automation; whoever waits longer than to the next run is told here."""
    window = Window(_year_before(material), material.window.first)
    _fresh, stale = material.publisher.fresh(window)
    begun = min(material.publisher.table.session_ids(window), default=window.last)
    # Sessions before the table's first are nobody's wish, and the first of the window is this run's own.
    overdue = [each for each in stale if begun <= each < window.last]
    if not overdue:
        return None
    ends = f"{session_key(overdue[0])} to {session_key(overdue[-1])}"
    return Broken(f"{len(overdue)} sessions, {ends}, are older than their prices: materialise labels for them.")


def _year_before(material: Material) -> Session:
    calendar, begins = material.publisher.market.sessions_calendar, material.publisher.market.begins
    return look_back(calendar, material.window.first, TRIED_SESSIONS, earliest=begins)


def _changed(publisher: LabelPublisher, signal: Session, label_set: LabelSet) -> Examples:
    held = _of_set(publisher.table.read(Window(signal, signal)), label_set)
    if held.num_rows == 0:
        return ()
    through = look_ahead(publisher.market.sessions_calendar, signal, label_set.resolves_after)
    rows = _of_set(publisher.anew(signal, through=through), label_set)
    anew = rows.append_column(MADE_FROM, pa.array([""] * rows.num_rows, pa.string()))
    if publisher.table.ids_of(anew) == publisher.table.ids_of(held):
        return ()
    expected = {row[SYMBOL]: row for row in rows.to_pylist()}
    told = [
        {
            "session": session_key(signal), "label_set": label_set.name, "symbol": row[SYMBOL],
            "held": _text(row, rows.column_names),
            "known at the time": _text(expected.get(row[SYMBOL]), rows.column_names),
        }
        for row in held.to_pylist()
        if _text(row, rows.column_names) != _text(expected.get(row[SYMBOL]), rows.column_names)
    ]  # fmt: skip
    missing = {"session": session_key(signal), "label_set": label_set.name, "held": f"{held.num_rows} rows"}
    return told or [missing | {"known at the time": f"{rows.num_rows} rows"}]


def _text(row: Mapping[str, object] | None, names: Sequence[str]) -> str:
    if row is None:
        return "no row"
    return ", ".join(f"{name} {row[name]!r}" for name in names if name not in KEY and row[name] is not None)


def _told(rows: Sequence[Mapping[str, object]]) -> Examples:
    return [{name: str(value) for name, value in row.items()} for row in islice(rows, _EXAMPLES)]


def _of_set(rows: pa.Table, label_set: LabelSet) -> pa.Table:
    names = rows[LABEL_SET].combine_chunks().dictionary_encode()
    known: list[str] = names.dictionary.to_pylist()
    if label_set.name not in known:
        return rows.slice(0, 0)
    return rows.filter(pa.array(names.indices.to_numpy(zero_copy_only=False) == known.index(label_set.name)))


RULES = (
    LabelRule(
        name="shape",
        expects="For each label set a row for every price of every session whose span has closed, and no other",
        blocking=True,
        judge=_wrong_shape,
    ),
    LabelRule(
        name="none_before_its_close",
        expects="The calendar's spans, every one of them closed by the clock",
        blocking=True,
        judge=_before_its_close,
    ),
    LabelRule(
        name="past_does_not_change",
        expects="Bit by bit the labels that prices give which end where the label resolves",
        blocking=True,
        judge=_knows_what_came_later,
    ),
    LabelRule(
        name="none_overdue",
        expects="Labels as closed and as corrected as their prices, in the year before too",
        blocking=False,
        judge=_overdue,
    ),
    LabelRule(name="no_empty_set", expects="A value somewhere in every label set", blocking=False, judge=_empty_set),
)
