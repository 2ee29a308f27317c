"""labels of one market."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.automation import follow_upstream
from assets.keys import LABELS, PRICES, RESEARCH, key_of
from assets.metadata import column_schema, line_plot, preview, records, rows_by_session, span_of
from assets.partitions import closed_sessions_of, session_partitions
from assets.reactions import reacting
from assets.recording import inputs_of, record_sessions, recorded
from quant_pipelines import label_tables
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.label_tables import (
    DEFINITIONS,
    LabelPublisher,
    PublishedLabels,
    longest_span,
    positive_shares,
    set_summaries,
)
from quant_pipelines.labels import LABEL_SETS, Classes, Venue
from quant_pipelines.lake import Lake
from quant_pipelines.markets import Market, TradingRules, load_rules
from quant_pipelines.sources import BarSource
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.sources import SourcesResource

_PLOTTED = "direction3"
_PREVIEWED = ("session", "symbol", "label_set", "resolves", "value", "direction", "absent", "buyable", "untradable")
# A label is made of its own session and those of its span, so each new session of prices comes back to the ones
# before it that were waiting for it. A session of which nothing has closed is materialised with no rows, and says so:
# left missing, it would make Dagster call every backfill that reaches the present a failed one.
SPAN_MAPPING = dg.TimeWindowPartitionMapping(end_offset=longest_span(), allow_nonexistent_upstream_partitions=True)


def label_assets(market: Market) -> Sequence[dg.AssetsDefinition]:
    """One table of labels for each market, from its prices and nothing else (S1-70)."""
    upstream = key_of(market, PRICES)

    @dg.asset(
        key=key_of(market, LABELS),
        deps=[dg.AssetDep(upstream, partition_mapping=SPAN_MAPPING)],
        group_name=RESEARCH,
        description=f"{label_tables.LABELS.description}\n\n{market.description}",
        partitions_def=session_partitions(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        automation_condition=follow_upstream(),
        code_version=DEFINITIONS,
        owners=[market.owner],
        kinds={"parquet", "deltalake"},
        tags={"market": market.name},
        metadata={**column_schema(label_tables.LABELS), "label_sets": _definitions()},
        pool=f"labels_{market.name}",
    )
    def labels(
        context: dg.AssetExecutionContext, lake: LakeResource, lineage: LineageResource, sources: SourcesResource
    ) -> dg.MaterializeResult:
        with reacting(context):
            window = closed_sessions_of(context, market)
            publisher = publisher_of(market, lake.open(), sources.answering(market).source)
            record = lineage.open().record
            for chunk in publisher.chunks(window):
                inputs = inputs_of(context, {upstream: publisher.prices.session_ids(chunk)})
                published = publisher.publish(
                    chunk, writer=lake.writer(context), fence=lake.fence(context), record=record
                )
                if published.damaged:
                    context.log.warning("Made anew, since what was there is damaged: %s", published.damaged)
                record_sessions(
                    context,
                    chunk,
                    versions=publisher.table.session_ids(chunk),
                    metadata=_metadata(published),
                    by_session=_by_session(published),
                    inputs=inputs,
                )
        return recorded(context)

    return [labels]


def publisher_of(market: Market, lake: Lake, source: BarSource) -> LabelPublisher:
    """Labels know the market's rules and listings as its source has them."""
    rules = TradingRules(load_rules(market.rules), market.sessions_calendar)
    venue = Venue(rules=rules, listings=source.listings(), prices_are_raw=source.prices_are_raw)
    return LabelPublisher(market=market, venue=venue, lake=lake)


def _definitions() -> dg.TableMetadataValue:
    """What each label set measures (X-02)."""
    return records(
        [
            {
                "label_set": each.name,
                "opens": f"close of session t+{each.opens_after}",
                "resolves": f"close of session t+{each.resolves_after}",
                "classes": _edges(each.classes),
            }
            for each in LABEL_SETS.values()
        ]
    )


def _edges(classes: Classes | None) -> str:
    if classes is None:
        return "none"
    below = "" if classes.down_below is None else f", -1 below {classes.down_below:+.1%}"
    return f"1 above {classes.up_above:+.1%}{below}, else 0"


def _by_session(published: PublishedLabels) -> Mapping[Session, Mapping[str, Any]]:
    counts = rows_by_session(published.rows)
    shown: dict[Session, dict[str, Any]] = {
        session: {"computed": "yes", "rows": rows, "dagster/partition_row_count": rows}
        for session, rows in counts.items()
    }
    for session, names in published.waiting.items():
        if len(names) == len(LABEL_SETS):
            shown[session] = {"computed": "no label has closed yet", "rows": 0, "dagster/partition_row_count": 0}
        shown.setdefault(session, {})["still_open"] = ", ".join(names)
    return shown


def _metadata(published: PublishedLabels) -> dict[str, Any]:
    """About all that was made together; a session that was fresh already says so."""
    facts: dict[str, Any] = {
        "computed": "no, it was fresh",
        "sessions_computed_together": len(published.computed),
        "definitions": DEFINITIONS,
        "still_open": "none",
    }
    if published.rows.num_rows == 0:
        return facts
    sessions, shares = positive_shares(published.rows, _PLOTTED)
    plot = {}
    if sessions:
        ends = {"first": session_key(sessions[0]), "last": session_key(sessions[-1])}
        plot["positive"] = line_plot(f"share of {_PLOTTED} labels above zero", shares, **ends)
    return facts | {
        "symbols": len(published.rows["symbol"].unique()),
        "span": span_of(published.rows),
        "by_label_set": _by_set(published),
        **plot,
        "preview": _preview(published.rows),
    }


def _preview(rows: pa.Table) -> dg.TableMetadataValue:
    """Some labels of the newest session that has the slowest set, so that sets stand beside each other."""
    slowest = max(LABEL_SETS.values(), key=lambda each: each.resolves_after).name
    sessions = rows["session"].to_numpy()
    complete = sessions[rows["label_set"].to_numpy(zero_copy_only=False) == slowest]
    shown = rows.filter(pa.array(sessions == (complete if complete.size else sessions).max())).select(_PREVIEWED)
    return preview(shown.sort_by([(name, "ascending") for name in label_tables.LABELS.key]))


def _by_set(published: PublishedLabels) -> dg.TableMetadataValue:
    return records(
        [
            {
                "label_set": each.label_set,
                "rows": each.rows,
                "with_a_value": each.valued,
                "positive": f"{each.positive:.1%}",
                "mean": f"{each.mean:+.5f}",
                "deviation": f"{each.deviation:.5f}",
                "buyable": f"{each.buyable:.1%}",
                "commonest_absence": each.commonest_absence,
            }
            for each in set_summaries(published.rows)
        ]
    )
