"""The factor report: what every feature of a market was worth over the sessions that end with a session."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.digest import digest_json
from quant_pipelines.feature_tables.schema import feature_schema
from quant_pipelines.features.effectiveness.daily import Daily
from quant_pipelines.features.effectiveness.measures import Matrix, nan_mean
from quant_pipelines.features.effectiveness.report import Summary, redundancy_clusters, similarities, summary
from quant_pipelines.features.effectiveness.settings import ReportSettings
from quant_pipelines.features.registry import FeatureRegistry
from quant_pipelines.labels import forward_returns
from quant_pipelines.lake import EMPTY_SESSION, Announce, Commit, Fence, Lake, Table, Window, Writer
from quant_pipelines.lake.tables import FACTOR_REPORT, PRICES, REPORT_HORIZONS, REPORT_QUANTILES
from quant_pipelines.lineage import Reach, Read, Record, held_in, recording, unrecorded
from quant_pipelines.lineage.made_from import MADE_FROM, held
from quant_pipelines.markets import Market
from quant_pipelines.prices import chunks, consecutive, look_back

# What the ranks of all factors of a chunk may take: similarity needs them side by side.
RANK_BYTES = 1_000_000_000
_COLUMNS_AT_ONCE = 40
_NUMBER_BYTES = 8
_LEAST_CHUNK = 20
# The edition of the numbers: raise it when they change while settings and inputs stay.
EDITION = 1
STANDARD_REPORT = ReportSettings(horizons=REPORT_HORIZONS, quantiles=REPORT_QUANTILES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """Everything that is known of the factors at one session's close."""

    market: str
    session: Session
    sessions: Sequence[Session]
    names: tuple[str, ...]
    daily: Daily
    summary: Summary
    alike: Matrix
    clusters: tuple[tuple[str, ...], ...]
    settings: ReportSettings
    symbols: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedReport:
    """What one publication did. `dossier` is of the last session reported; `damaged` says what it healed."""

    computed: Sequence[Session]
    rows: pa.Table
    commits: Sequence[Commit]
    dossier: Dossier | None
    damaged: str | None


@dataclass(frozen=True, kw_only=True)
class FactorReporter:
    """Reports on all features of one market."""

    market: Market
    registry: FeatureRegistry
    lake: Lake
    threads: int = 1
    settings: ReportSettings = STANDARD_REPORT

    @cached_property
    def table(self) -> Table:
        return self.lake.table(self.market.name, FACTOR_REPORT)

    @cached_property
    def inputs(self) -> tuple[Table, ...]:
        """Prices first, then the feature tables."""
        schemas = [PRICES, *(feature_schema(each) for each in self.registry.sets)]
        return tuple(self.lake.table(self.market.name, schema) for schema in schemas)

    def chunks(self, window: Window) -> list[Window]:
        """The window in spans whose ranks fit in memory."""
        symbols = max(1, len(self._symbols(self.inputs[0].read(_last(self.inputs[0], window), columns=[SYMBOL]))))
        fitting = RANK_BYTES // (_NUMBER_BYTES * len(self.registry) * symbols) - self.settings.similarity_sessions
        return chunks(self.market.sessions_calendar, window, sessions=max(_LEAST_CHUNK, fitting))

    def publish(self, window: Window, *, writer: Writer, fence: Fence, record: Record = unrecorded) -> PublishedReport:
        """Report on the window's sessions whose inputs changed since they were reported on."""
        versions = [table.version() for table in self.inputs]
        wanted = self._made_from(window, versions)
        there = held(self.table, window)
        stale = there.stale(wanted)
        if fresh := sorted(wanted.keys() - stale):
            self._recording(fresh, versions, record)(self.table.session_ids(window))
        rows, commits, dossier = [FACTOR_REPORT.arrow.empty_table()], list[Commit](), None
        for span in consecutive(self.market.sessions_calendar, stale):
            part = Window(span[0], span[-1])
            made, dossier = self._reported(part, wanted, versions)
            announce = self._recording(span, versions, record)
            commits.append(self.table.replace(made, window=part, writer=writer, fence=fence, announce=announce))
            rows.append(made)
        return PublishedReport(
            computed=stale, rows=pa.concat_tables(rows), commits=commits, dossier=dossier, damaged=there.damaged
        )

    def _recording(self, sessions: Sequence[Session], versions: Sequence[int | None], record: Record) -> Announce:
        calendar = self.market.sessions_calendar
        first = look_back(calendar, sessions[0], self.settings.reach_sessions, earliest=self.market.begins)
        read = Window(first, sessions[-1])
        known = calendar.sessions(read.first, read.last)
        reads = tuple(
            Read(
                contents=held_in(table, known, table.session_ids(read, as_of=version)),
                reach=Reach(back=self.settings.reach_sessions),
                across_symbols=True,
            )
            for table, version in zip(self.inputs, versions, strict=True)
        )
        return recording(record, self.table, sessions, reads, {"edition": EDITION})

    def _reported(
        self, window: Window, made_from: Mapping[Session, str], versions: Sequence[int | None]
    ) -> tuple[pa.Table, Dossier | None]:
        material = self._material(window, versions)
        tables: list[pa.Table] = []
        dossier = None
        for place, session in enumerate(material.sessions):
            if session not in window or session not in made_from:
                continue
            dossier = material.dossier(place)
            tables.append(self._rows(dossier, made_from[session]))
        return pa.concat_tables([FACTOR_REPORT.arrow.empty_table(), *tables]), dossier

    def _material(self, window: Window, versions: Sequence[int | None]) -> "_Material":
        calendar = self.market.sessions_calendar
        first = look_back(calendar, window.first, self.settings.reach_sessions, earliest=self.market.begins)
        read = Window(first, window.last)
        prices = self.inputs[0].read(read, columns=[SESSION, SYMBOL, "close", "factor"], as_of=versions[0])
        layout = _Layout(calendar.sessions(first, window.last), self._symbols(prices))
        close, factor = (layout.spread(prices, name) for name in ("close", "factor"))
        returns = forward_returns(close * np.where(np.isnan(factor), 1.0, factor), self.settings.horizons)
        since = max(0, len(layout.sessions) - len(calendar.sessions(window.first, window.last)))
        ranked_from = max(0, since - self.settings.similarity_sessions + 1)
        parts: list[Daily] = []
        late: list[Matrix] = []
        for factors in self._factors(read, layout, versions):
            parts.append(Daily.of(factors, returns, ~np.isnan(close), self.settings, threads=self.threads))
            late.extend(values[ranked_from:] for values in factors)
        return _Material(
            market=self.market.name,
            sessions=layout.sessions,
            names=tuple(self.registry),
            daily=Daily.joined(parts),
            alike=similarities(late),
            alike_from=ranked_from,
            settings=self.settings,
            symbols=len(layout.symbols),
        )

    def _factors(self, read: Window, layout: "_Layout", versions: Sequence[int | None]) -> Iterator[list[Matrix]]:
        """All features in the registry's order, some columns at a time."""
        for table, version, features in zip(self.inputs[1:], versions[1:], self.registry.sets, strict=True):
            for begin in range(0, len(features.names), _COLUMNS_AT_ONCE):
                names = features.names[begin : begin + _COLUMNS_AT_ONCE]
                rows = table.read(read, columns=[SESSION, SYMBOL, *names], as_of=version)
                yield [layout.spread(rows, name) for name in names]

    def _rows(self, dossier: Dossier, made_from: str) -> pa.Table:
        found, count = dossier.summary, len(dossier.names)
        cluster = {name: group[0] for group in dossier.clusters for name in group}
        correlations = {
            f"{kind}{suffix}": values
            for kind, each in (("ic", found.ic), ("rank_ic", found.rank_ic))
            for suffix, values in (("", each.mean), ("_std", each.std), ("ir", each.ratio), ("_t", each.t))
        }
        columns = {
            **correlations,
            **{f"decay_{horizon}": values for horizon, values in found.decay.items()},
            **{f"quantile_{each + 1}": found.quantiles.means[:, each] for each in range(REPORT_QUANTILES)},
            **{f"quantile_error_{each + 1}": found.quantiles.errors[:, each] for each in range(REPORT_QUANTILES)},
            "spread": found.quantiles.spread,
            "spread_error": found.quantiles.spread_error,
            "turnover": found.turnover,
            "rank_autocorrelation": found.rank_autocorrelation,
            "coverage": found.coverage,
            "sessions": found.rank_ic.sessions.astype(np.int32),
            "dropped": found.rank_ic.dropped.astype(np.int32),
            SESSION: np.full(count, np.datetime64(dossier.session, "us")),
            "factor": list(dossier.names),
            "table": [str(self.registry[name].kind) for name in dossier.names],
            "cluster": [cluster.get(name) for name in dossier.names],
            MADE_FROM: [made_from] * count,
        }
        return pa.table({name: pa.array(columns[name]) for name in FACTOR_REPORT.names}).cast(FACTOR_REPORT.arrow)

    def _made_from(self, window: Window, versions: Sequence[int | None]) -> dict[Session, str]:
        """For each session that prices and all feature tables have: the digest of all that is looked back on."""
        calendar = self.market.sessions_calendar
        first = look_back(calendar, window.first, self.settings.reach_sessions, earliest=self.market.begins)
        read = Window(first, window.last)
        ids = [table.session_ids(read, as_of=version) for table, version in zip(self.inputs, versions, strict=True)]
        sessions = calendar.sessions(first, window.last)
        together = [digest_json([each.get(session, EMPTY_SESSION) for each in ids]) for session in sessions]
        recipe = [EDITION, str(self.settings), [each.version for each in self.registry.sets]]
        return {
            session: digest_json([recipe, together[max(0, place - self.settings.reach_sessions) : place + 1]])
            for place, session in enumerate(sessions)
            if session in window and all(session in each for each in ids)
        }

    def _symbols(self, rows: pa.Table) -> list[str]:
        return sorted(rows[SYMBOL].unique().to_pylist())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """The series of all factors over the window and the sessions looked back on."""

    market: str
    sessions: Sequence[Session]
    names: tuple[str, ...]
    daily: Daily
    alike: NDArray[np.float64]
    alike_from: int
    settings: ReportSettings
    symbols: int

    def dossier(self, place: int) -> Dossier:
        """As of the close of one of the sessions."""
        settings = self.settings
        first = max(0, place + 1 - settings.trailing_sessions)
        known = self.daily.between(first, place + 1, horizon=settings.horizon_sessions)
        until = place + 1 - self.alike_from
        alike = nan_mean(self.alike[max(0, until - settings.similarity_sessions) : until], axis=0)
        return Dossier(
            market=self.market,
            session=self.sessions[place],
            sessions=self.sessions[first : place + 1],
            names=self.names,
            daily=known,
            summary=summary(known, settings),
            alike=alike,
            clusters=redundancy_clusters(self.names, alike, redundant_from=settings.redundant_from),
            settings=settings,
            symbols=self.symbols,
        )


@dataclass(frozen=True)
class _Layout:
    """Sessions downwards, symbols across."""

    sessions: Sequence[Session]
    symbols: Sequence[str]

    def spread(self, rows: pa.Table, name: str) -> Matrix:
        """A column as a matrix, NaN where there is no row or no value."""
        out = np.full((len(self.sessions), len(self.symbols)), np.nan)
        at = np.searchsorted(np.array(self.sessions, "datetime64[us]"), rows[SESSION].to_numpy())
        encoded = rows[SYMBOL].combine_chunks().dictionary_encode()
        known = {symbol: place for place, symbol in enumerate(self.symbols)}
        places = np.array([known.get(each, -1) for each in encoded.dictionary.to_pylist()], np.int64)
        across = places[encoded.indices.to_numpy()]
        # A name that prices no longer have has no return to be measured against.
        inside = across >= 0
        out[at[inside], across[inside]] = rows[name].to_numpy()[inside]
        return out


def _last(table: Table, window: Window) -> Window:
    """The newest session of the table up to the window's end."""
    newest = max((each for each in table.session_ids() if each <= window.last), default=window.last)
    return Window(newest, newest)
