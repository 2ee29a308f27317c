"""factor_report of one market: what each feature was worth."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import numpy as np

from assets.automation import follow_upstream
from assets.features import reach_mapping, registry_of
from assets.keys import FACTOR_REPORT, FEATURES, PRICES, key_of
from assets.metadata import column_schema, line_plot, records, rows_by_session
from assets.partitions import closed_sessions_of, session_partitions
from assets.reactions import reacting
from assets.recording import inputs_of, record_sessions, recorded
from quant_pipelines.calendars import session_key
from quant_pipelines.feature_tables.report import EDITION, STANDARD_REPORT, Dossier, FactorReporter, PublishedReport
from quant_pipelines.feature_tables.tear_sheet import strongest, tear_sheet
from quant_pipelines.lake import tables
from quant_pipelines.markets import Market
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.machine import MachineResource
from resources.pages import PagesResource

_SHOWN = 15


def factor_report_assets(market: Market) -> Sequence[dg.AssetsDefinition]:
    """One report for each market."""
    registry = registry_of(market)
    upstream = [key_of(market, name) for name in (PRICES, *(each.name for each in registry.sets))]
    mapping = reach_mapping(market, STANDARD_REPORT.reach_sessions)

    @dg.asset(
        key=key_of(market, FACTOR_REPORT),
        deps=[dg.AssetDep(key, partition_mapping=mapping) for key in upstream],
        group_name=FEATURES,
        description=f"{tables.FACTOR_REPORT.description}\n\n{market.description}",
        partitions_def=session_partitions(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        automation_condition=follow_upstream(),
        code_version=str(EDITION),
        owners=[market.owner],
        kinds={"parquet", "deltalake", "html"},
        tags={"market": market.name},
        metadata=column_schema(tables.FACTOR_REPORT),
        pool=f"factor_report_{market.name}",
    )
    def factor_report(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        lineage: LineageResource,
        machine: MachineResource,
        pages: PagesResource,
    ) -> dg.MaterializeResult:
        with reacting(context):
            window = closed_sessions_of(context, market)
            reporter = FactorReporter(market=market, registry=registry, lake=lake.open(), threads=machine.threads)
            record = lineage.open().record
            for chunk in reporter.chunks(window):
                ids = [table.session_ids(chunk) for table in reporter.inputs]
                inputs = inputs_of(context, dict(zip(upstream, ids, strict=True)))
                published = reporter.publish(
                    chunk, writer=lake.writer(context), fence=lake.fence(context), record=record
                )
                if published.damaged:
                    context.log.warning("Reported anew, since what was there is damaged: %s", published.damaged)
                computed = rows_by_session(published.rows)
                record_sessions(
                    context,
                    chunk,
                    versions=reporter.table.session_ids(chunk),
                    metadata=_metadata(published, pages, market),
                    by_session={session: {"computed": "yes", "rows": rows} for session, rows in computed.items()},
                    inputs=inputs,
                )
        return recorded(context)

    return [factor_report]


def _metadata(published: PublishedReport, pages: PagesResource, market: Market) -> dict[str, Any]:
    """The last report of those computed together, and its page."""
    facts: dict[str, Any] = {
        "computed": "no, it was fresh",
        "sessions_computed_together": len(published.computed),
    }
    if published.dossier is None:
        return facts
    dossier = published.dossier
    name = f"{market.name}/factor_report_{session_key(dossier.session).replace(':', '')}.html"
    page = pages.write(name, tear_sheet(dossier))
    return facts | {
        "shown_session": session_key(dossier.session),
        "features": len(dossier.names),
        "tear_sheet": dg.MetadataValue.path(str(page)),
        "strongest": _strongest(dossier),
        "clusters": records([{"cluster": ", ".join(cluster)} for cluster in dossier.clusters]),
        **_plots(dossier),
    }


def _strongest(dossier: Dossier) -> dg.TableMetadataValue:
    found = dossier.summary
    return records(
        [
            {
                "feature": dossier.names[place],
                "ic": f"{found.ic.mean[place]:+.4f}",
                "icir": f"{found.ic.ratio[place]:+.3f}",
                "rank_ic": f"{found.rank_ic.mean[place]:+.4f}",
                "t": f"{found.rank_ic.t[place]:+.2f}",
                "spread_bp": f"{1e4 * found.quantiles.spread[place]:+.1f}",
                "turnover": f"{found.turnover[place]:.1%}",
                "coverage": f"{found.coverage[place]:.1%}",
            }
            for place in strongest(dossier)[:_SHOWN]
        ]
    )


def _plots(dossier: Dossier) -> dict[str, Any]:
    best = strongest(dossier)[0]
    daily = dossier.daily.rank_ic[dossier.settings.horizon_sessions][best]
    if daily.size == 0:
        return {}
    decay = np.array([values[best] for values in dossier.summary.decay.values()])
    horizons = list(dossier.summary.decay)
    return {
        "cumulative_rank_ic": line_plot(
            f"cumulative RankIC of {dossier.names[best]}",
            np.nancumsum(daily),
            first=session_key(dossier.sessions[0]),
            last=session_key(dossier.sessions[daily.size - 1]),
        ),
        "quantile_returns": line_plot(
            f"return of {dossier.names[best]} by quantile, bp",
            1e4 * dossier.summary.quantiles.means[best],
            first="lowest",
            last="highest",
        ),
        "decay": line_plot(
            f"RankIC of {dossier.names[best]} by horizon", decay, first=f"{horizons[0]} d", last=f"{horizons[-1]} d"
        ),
    }
