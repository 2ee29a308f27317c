"""Freezing: the recipe first, then its arrays, then the document. What was made before is found, not made again."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quant_pipelines.arrays import SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.clock import Clock
from quant_pipelines.features.registry import FeatureRegistry
from quant_pipelines.lake import Fence, Lake, no_fence
from quant_pipelines.markets import Market
from quant_pipelines.prices import SessionNotClosed, look_back
from quant_pipelines.snapshots.deriving import Derived, derived
from quant_pipelines.snapshots.document import (
    Document,
    FrozenArray,
    FrozenLabels,
    FrozenTable,
    Outcome,
    Provenance,
    Recipe,
    RowFilter,
)
from quant_pipelines.snapshots.failures import HorizonTooLong, UnknownMembers
from quant_pipelines.snapshots.freshness import require_made_of_today
from quant_pipelines.snapshots.gathering import TableAt, Tables
from quant_pipelines.snapshots.inputs import (
    LABELS,
    Inputs,
    begun,
    columns_by_table,
    frozen_features,
    frozen_table,
    listing_text,
    require_columns,
    row_filter_of,
    session_ids,
)
from quant_pipelines.snapshots.normalising import Scale
from quant_pipelines.snapshots.sampling import label_columns
from quant_pipelines.snapshots.store import SnapshotStore
from quant_pipelines.strategies import Strategy


@dataclass(frozen=True, slots=True)
class Maker:
    """Who builds, in which run, with which code."""

    who: str
    code_version: str
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """A snapshot, and whether it had to be made."""

    document: Document
    made: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class SnapshotBuilder:
    """Freezes snapshots of one market. `label_spans` says how many sessions after its signal each label set closes."""

    market: Market
    registry: FeatureRegistry
    lake: Lake
    store: SnapshotStore
    label_spans: Mapping[str, int]
    maker: Maker
    clock: Clock
    threads: int = 1
    fence: Fence = no_fence

    def build(self, strategy: Strategy, cutoff: Session) -> Built:
        """What a training of the strategy may know at the close of the cutoff (`train_lineage_id`)."""
        self._require_closed(cutoff)
        inputs = Inputs(market=self.market, lake=self.lake, threads=self.threads)
        recipe, tables = self._training_recipe(inputs, strategy, cutoff)
        return self._made(recipe, tables)

    def infer(self, trained: Document, session: Session, *, first: Session | None = None) -> Built:
        """What the model of a training snapshot is asked about in a session, or in all from the first to it
        (`infer_lineage_id`, S1-34)."""
        self._require_closed(session)
        self.registry.require({each.name: each.version for each in trained.recipe.features})
        inputs = Inputs(market=self.market, lake=self.lake, threads=self.threads)
        recipe, tables = self._inference_recipe(inputs, trained, first or session, session)
        return self._made(recipe, tables, scale_of(trained, self.store))

    def serve_again(self, trained: Document, session: Session) -> Derived:
        """What serving would have been given in a session, from the table versions of the training; nothing is kept."""
        versions = trained.provenance.table_versions
        inputs = Inputs(market=self.market, lake=self.lake, versions=versions, threads=self.threads)
        recipe, tables = self._inference_recipe(inputs, trained, session, session)
        return derived(recipe, tables, scale=scale_of(trained, self.store), threads=self.threads)

    def _require_closed(self, session: Session) -> None:
        calendar = self.market.sessions_calendar
        calendar.offset(session, 0)  # a holiday is refused with its neighbours
        if session > calendar.last_closed(self.clock.now()):
            raise SessionNotClosed(self.market.name, session, calendar.close_of(session))

    def _training_recipe(self, inputs: Inputs, strategy: Strategy, cutoff: Session) -> tuple[Recipe, Tables]:
        calendar = self.market.sessions_calendar
        begins = min(inputs.priced)
        inputs.require_priced([cutoff])
        window = strategy.training.window.of(cutoff, calendar, earliest=begins)
        span = self.label_spans[strategy.label_set]
        if len(window) <= span:
            raise HorizonTooLong(strategy.name, strategy.label_set, span=span, sessions=len(window))
        reads_from = look_back(calendar, window[0], strategy.sequence_sessions - 1, earliest=begins)
        frozen = _Frozen(self, inputs, calendar.sessions(reads_from, cutoff))
        features = frozen_features(strategy, self.registry)
        labels = frozen.labels(strategy.label_set, span, signals=window[: len(window) - span])
        tables = frozen.tables(columns_by_table(features))
        recipe = Recipe(
            purpose="train",
            market=self.market.name,
            calendar=self.market.calendar,
            bar=self.market.bar,
            strategy=strategy.name,
            configuration=strategy.configuration,
            configuration_id=strategy.digest,
            code_version=self.maker.code_version,
            cutoff=cutoff,
            window_first=window[0],
            reads_from=reads_from,
            sequence_sessions=strategy.sequence_sessions,
            features=features,
            tables=tables,
            row_filter=row_filter_of(strategy, self.market),
            begun=begun(frozen.opened[tables[0].table], frozen.axis, self.market),
            labels=labels,
            validation_share=strategy.training.validation_share,
            normalisation=strategy.normalisation,
        )
        self._require_symbols(recipe.row_filter, frozen.opened, recipe)
        return recipe, frozen.opened

    def _inference_recipe(
        self, inputs: Inputs, trained: Document, first: Session, last: Session
    ) -> tuple[Recipe, Tables]:
        model = trained.recipe
        calendar = self.market.sessions_calendar
        reads_from = look_back(calendar, first, model.sequence_sessions - 1, earliest=min(inputs.priced))
        frozen = _Frozen(self, inputs, calendar.sessions(reads_from, last))
        tables = frozen.tables(columns_by_table(model.features))
        update = {
            "purpose": "infer",
            "code_version": self.maker.code_version,
            "cutoff": last,
            "window_first": first,
            "reads_from": reads_from,
            "tables": tables,
            "begun": begun(frozen.opened[tables[0].table], frozen.axis, self.market),
            "labels": None,
            "validation_share": None,
            "trained_on": trained.id,
        }
        return model.model_copy(update=update), frozen.opened

    def _require_symbols(self, row_filter: RowFilter, tables: Tables, recipe: Recipe) -> None:
        """A symbol that has no row at all is a name that was mistyped."""
        if row_filter.choice.symbols is None:
            return
        first = tables[recipe.tables[0].table]
        there = set(first.read(recipe.reads, [SYMBOL])[SYMBOL].unique().to_pylist())
        unknown = sorted(set(row_filter.choice.symbols) - there)
        if unknown:
            raise UnknownMembers(
                f"{recipe.strategy} chooses {', '.join(unknown)}, of which {self.market.name} has no row in its "
                f"window. Correct universe.symbols in strategies.yaml; `qp table show {self.market.name} prices` has "
                "their names."
            )

    def _made(self, recipe: Recipe, tables: Tables, scale: Scale | None = None) -> Built:
        before = self.store.made_of(recipe.id)
        if before is not None:
            return Built(before, made=False)
        with self.store.drafting() as stage:
            outcome = self._outcome(derived(recipe, tables, scale=scale, threads=self.threads, stage=stage))
        document = Document(
            recipe=recipe,
            outcome=outcome,
            provenance=Provenance(
                created_at=self.clock.now(),
                who=self.maker.who,
                run_id=self.maker.run_id,
                table_versions={name: each.version for name, each in sorted(tables.items())},
            ),
        )
        with self.fence():
            self.store.put(document)
        return Built(document, made=True)

    def _outcome(self, found: Derived) -> Outcome:
        drafts = sorted(found.drafts.items())
        # While one waits for the disk another is hashed.
        with ThreadPoolExecutor(self.threads) as pool:
            blobs = list(pool.map(self.store.put_draft, (each for _, each in drafts)))
        arrays = tuple(
            FrozenArray(name=name, blob=blob, type=each.array.dtype.str, shape=each.array.shape)
            for (name, each), blob in zip(drafts, blobs, strict=True)
        )
        return Outcome(
            arrays=arrays,
            rows=found.layout.rows,
            symbols=len(found.layout.symbols),
            samples=found.samples,
            left_out=dict(found.left_out),
            split=found.split,
            normaliser=found.normaliser,
        )


def scale_of(trained: Document, store: SnapshotStore) -> Scale:
    """The scale that a training snapshot was given."""
    arrays = {each.name: each.blob for each in trained.outcome.arrays}
    centre, scale = (np.array(store.array(arrays[name])) for name in ("centre", "scale"))
    return Scale(centre, scale)


@dataclass(frozen=True, eq=False)
class _Frozen:
    """The tables of one recipe, opened once."""

    builder: SnapshotBuilder
    inputs: Inputs
    axis: Sequence[Session]

    def __post_init__(self) -> None:
        self.inputs.require_priced(self.axis)

    @cached_property
    def opened(self) -> dict[str, TableAt]:
        return {}

    def tables(self, columns: Mapping[str, tuple[str, ...]]) -> tuple[FrozenTable, ...]:
        """Feature tables need every session that has prices."""
        needed = [each for each in self.axis if each in self.inputs.priced]
        frozen = tuple(self._table(name, each, needed) for name, each in columns.items())
        if self.inputs.versions is None:  # what a training saw stays what it was, whatever became of the prices
            require_made_of_today(self.inputs, self.builder.registry, self.opened, needed)
        return frozen

    def labels(self, label_set: str, span: int, *, signals: Sequence[Session]) -> FrozenLabels:
        """Labels need the sessions of the signals that have closed, and no other."""
        opened = self.inputs.opened(LABELS)
        needed = [each for each in signals if each in self.inputs.priced]
        table = self._table(LABELS, label_columns(opened.table.schema.names), needed)
        return FrozenLabels(label_set=label_set, span_sessions=span, table=table)

    def _table(self, name: str, columns: Sequence[str], needed: Sequence[Session]) -> FrozenTable:
        opened = self.opened[name] = self.inputs.opened(name)
        require_columns(opened, columns)
        ids = session_ids(opened, needed)
        listing = np.frombuffer(listing_text(ids).encode(), np.uint8)
        return frozen_table(name, columns, ids, self.builder.store.put_blob(listing))
