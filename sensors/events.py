"""The event bus: what happened is told to Dagster as asset events, which any sensor can wait for (S2-95).

The journal and the lake stay the truth. An event that they do not know is refused, and each is told once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dagster as dg
import pyarrow.compute as pc
from dagster._core.definitions.data_version import DATA_VERSION_IS_USER_PROVIDED_TAG, DATA_VERSION_TAG

from assets.keys import EXPERIMENT_STARTED, MODEL_DEPLOYED, RAW_BARS, key_of
from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session, partition_key, session_key
from quant_pipelines.deployment import EVERYBODY, EXPERIMENT_CREATED, ROLLOUT, SHADOW, Ref, Rolled, find, moves
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.journal import Journal, Row
from quant_pipelines.lake import Lake, Window
from quant_pipelines.markets import Market
from quant_pipelines.strategies import Strategy
from resources.journal import JournalResource
from resources.lake import LakeResource

SECONDS_BETWEEN_LOOKS = 30
# A sensor that died has told the last few of them, never older ones.
_REMEMBERED = 200
# The metadata by which an event is known, and by which a sensor of a user's own can make its run keys.
JOURNAL_ROW, STOCK_CODE = "journal_row", "stock_code"
MODEL_ID, ENVIRONMENT, EXPERIMENT_ID = "model_id", "environment", "experiment_id"
Environment = Literal["shadow", "canary", "production"]


class NotOnRecord(OperatorActionRequired):
    """An event of which the journal or the lake knows nothing."""

    code = "QP199"


@dataclass(frozen=True, kw_only=True)
class EventBus:
    """Tells Dagster what happened in one market."""

    market: Market
    instance: dg.DagsterInstance
    journal: Journal
    lake: Lake

    def on_data_sync_completed(self, stock_code: str, date_range: Window) -> Sequence[Session]:
        """Bars of a symbol were brought into the lake outside of a run: their sessions are told as those of
        `raw_bars`, and whatever follows it reacts. What Dagster knows already is not told again."""
        table = self.lake.stored(self.market.name, RAW_BARS)
        rows = None if table is None else table.read(date_range, columns=[SESSION, SYMBOL])
        there = [] if rows is None else rows.filter(pc.field(SYMBOL) == stock_code)[SESSION].unique().to_pylist()
        if table is None or not there:
            raise NotOnRecord(
                f"The lake has no bar of {stock_code} in {self.market.name} from {session_key(date_range.first)} to "
                f"{session_key(date_range.last)}, so no sync of it is told. Write the bars first: `qp ingest`."
            )
        versions = table.session_ids(date_range)
        return [session for session in sorted(there) if self._synced(stock_code, session, versions[session])]

    def publish_experiment_started(self, experiment_id: str) -> None:
        """The experiment, as the journal has it."""
        model = find(self.journal, experiment_id).model
        rows = self.journal.rows(kind=EXPERIMENT_CREATED.name, subject=model)
        self.publish(next(each for each in rows if EXPERIMENT_CREATED.of(each).name == experiment_id))

    def publish_model_deployed(self, model_id: str, environment: str) -> None:
        """A version, as market.strategy/number, has come into an environment: the last move that brought it there."""
        model, _, number = model_id.rpartition("/")
        for row, rolled in reversed(moves(self.journal, model)):
            found = deployed_by(rolled)
            if found is not None and (str(found[0].number), environment_of(found[1])) == (number, environment):
                self.publish(row)
                return
        raise NotOnRecord(
            f"No move of the journal brought {model_id} into {environment}, so no deployment is told. "
            "`qp rollout show` lists the moves."
        )

    def publish(self, row: Row) -> None:
        """The event of a row of the journal: told once, whoever died in between or asks again. Others are none."""
        found = _event_of(row)
        if found is None:
            return
        if not _is_about(self.market, row):
            raise NotOnRecord(f"Row {row.sequence} is about {row.subject}, not about a strategy of {self.market.name}.")
        name, metadata = found
        asset = key_of(self.market, name)
        known = self._newest(dg.AssetRecordsFilter(asset_key=asset), _REMEMBERED)
        # A person may have reported one by hand, which has no row.
        if row.sequence not in [each.metadata[JOURNAL_ROW].value for each in known if JOURNAL_ROW in each.metadata]:
            facts = {JOURNAL_ROW: row.sequence, **metadata, "actor": row.actor}
            self._report(dg.AssetMaterialization(asset, metadata=facts))

    def _synced(self, stock_code: str, session: Session, version: str) -> bool:
        asset, partition = key_of(self.market, RAW_BARS), partition_key(self.market.sessions_calendar, session)
        wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[partition])
        if version in [(each.tags or {}).get(DATA_VERSION_TAG) for each in self._newest(wanted, 1)]:
            return False
        tags = {DATA_VERSION_TAG: version, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
        metadata = {STOCK_CODE: stock_code, "data_version": version}
        self._report(dg.AssetMaterialization(asset, partition=partition, metadata=metadata, tags=tags))
        return True

    def _newest(self, wanted: dg.AssetRecordsFilter, count: int) -> list[dg.AssetMaterialization]:
        found = self.instance.fetch_materializations(wanted, limit=count).records
        return [each.asset_materialization for each in found if each.asset_materialization is not None]

    def _report(self, event: dg.AssetMaterialization) -> None:
        self.instance.report_runless_asset_event(event)


def environment_of(stage: int) -> Environment:
    """What a stage in percent is called."""
    if stage == SHADOW:
        return "shadow"
    return "production" if stage == EVERYBODY else "canary"


def deployed_by(rolled: Rolled) -> tuple[Ref, int] | None:
    """The version that a move has brought somewhere, and its stage there. A candidate that goes brings nobody."""
    if rolled.action != "roll_back":
        return rolled.version, rolled.stage
    if rolled.stage == EVERYBODY and rolled.back_to is not None:
        return rolled.back_to, EVERYBODY
    return None


def event_sensors(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.SensorDefinition]:
    """One for each market that has strategies."""
    return [event_sensor(market)] if strategies else []


def event_sensor(market: Market) -> dg.SensorDefinition:
    """Read the journal's new rows, whoever has written them, and tell what began and what was deployed."""

    @dg.sensor(
        name=f"events_of_{market.name}",
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Tells Dagster which experiments of {market.name} have begun and which versions were deployed, "
        "so that other sensors can wait for it.",
    )
    def events(
        context: dg.SensorEvaluationContext, lake: LakeResource, journal: JournalResource
    ) -> dg.SensorResult | dg.SkipReason:
        book = journal.open()
        head = book.head().sequence
        if context.cursor is None:
            context.update_cursor(str(head))
            return dg.SkipReason(f"Begins after row {head} of the journal.")
        bus = EventBus(market=market, instance=context.instance, journal=book, lake=lake.open())
        rows = sorted(_rows(book, market, after=int(context.cursor), last=head), key=lambda row: row.sequence)
        for row in rows:
            bus.publish(row)
        told = f"Looked at {len(rows)} new rows about {market.name}, up to row {head} of the journal."
        return dg.SensorResult(cursor=str(head), skip_reason=dg.SkipReason(told))

    return events


def _rows(journal: Journal, market: Market, *, after: int, last: int) -> Iterator[Row]:
    # Not beyond the last row that was there: the two kinds are read one after the other, and more may come meanwhile.
    for kind in (EXPERIMENT_CREATED.name, ROLLOUT.name):
        for row in journal.rows(kind=kind, after=after):
            if row.sequence <= last and _is_about(market, row):
                yield row


def _is_about(market: Market, row: Row) -> bool:
    return row.subject.startswith(f"{market.name}.")


def _event_of(row: Row) -> tuple[str, Mapping[str, Any]] | None:
    """Which event a row of the journal is, and what it tells."""
    if row.kind == EXPERIMENT_CREATED.name:
        made = EXPERIMENT_CREATED.of(row)
        arms = ", ".join(f"{arm.name}: version {arm.version.number}, share {arm.share:g}" for arm in made.arms)
        told = {EXPERIMENT_ID: made.name, "model": made.model, "arms": arms, "since": session_key(made.since)}
        return EXPERIMENT_STARTED, told
    rolled = ROLLOUT.of(row)
    found = deployed_by(rolled)
    if found is None:
        return None
    version, stage = found
    return MODEL_DEPLOYED, {
        MODEL_ID: f"{row.subject}/{version.number}",
        "version_id": version.id,
        ENVIRONMENT: environment_of(stage),
        "share": stage / EVERYBODY,
        "session": session_key(rolled.session),
    }
