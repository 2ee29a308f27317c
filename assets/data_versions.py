"""data_versions of one market: what each of its tables holds, and held before (S2-38)."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.automation import follow_tables
from assets.features import registry_of
from assets.keys import DATA_VERSIONS, FACTOR_REPORT, LABELS, OVERVIEW, PRICES, RAW_BARS, key_of
from assets.metadata import records
from assets.reactions import reacting
from quant_pipelines import label_tables
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.digest import digest_json
from quant_pipelines.feature_tables import feature_schema
from quant_pipelines.lake import DataVersion, Table, tables
from quant_pipelines.lake.schemas import TableSchema
from quant_pipelines.markets import Market
from resources.lake import LakeResource

SHOWN_VERSIONS = 10
_SHOWN_DIGITS = 16
_BYTES_PER_MB = 1e6


def data_version_assets(market: Market) -> Sequence[dg.AssetsDefinition]:
    """One overview for each market; nothing is stored, all of it is in the metadata."""
    schemas = _schemas(market)

    @dg.asset(
        key=key_of(market, DATA_VERSIONS),
        deps=[key_of(market, name) for name in schemas],
        group_name=OVERVIEW,
        description=(
            "What each table of the market holds, and its latest versions: id, range, size, status, who made it. "
            f"Look at the metadata; `qp table history {market.name} TABLE` tells all of them.\n\n{market.description}"
        ),
        automation_condition=follow_tables(),
        code_version="1",
        owners=[market.owner],
        kinds={"deltalake"},
        tags={"market": market.name},
        pool=f"data_versions_{market.name}",
    )
    def data_versions(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
        with reacting(context):
            store = lake.open()
            found = _found({name: store.table(market.name, schema) for name, schema in schemas.items()})
        newest = {name: versions[0] for name, versions in found.items() if versions}
        return dg.MaterializeResult(
            data_version=dg.DataVersion(digest_json({name: each.id for name, each in newest.items()})),
            metadata={
                "tables": len(newest),
                "size_mb": sum(each.size_bytes for each in newest.values()) / _BYTES_PER_MB,
                "current": records([_row(name, each) for name, each in newest.items()]),
                "versions": records([_row(name, each) for name, versions in found.items() for each in versions]),
            },
        )

    return [data_versions]


def _schemas(market: Market) -> dict[str, TableSchema]:
    """Every table of the market by the name of its asset."""
    features = {str(each.name): feature_schema(each) for each in registry_of(market).sets}
    return {
        RAW_BARS: tables.RAW_BARS,
        PRICES: tables.PRICES,
        **features,
        FACTOR_REPORT: tables.FACTOR_REPORT,
        LABELS: label_tables.LABELS,
    }


def _found(opened: dict[str, Table]) -> dict[str, list[DataVersion]]:
    return {name: table.versions(SHOWN_VERSIONS) for name, table in opened.items()}


def _row(name: str, version: DataVersion) -> dict[str, Any]:
    commit = version.commit
    return {
        "table": name,
        "version": commit.version,
        "id": version.id[:_SHOWN_DIGITS],
        "status": str(version.status),
        "created_at": f"{commit.created_at:%Y-%m-%d %H:%M:%S}",
        "date_range": _span(version.first, version.last),
        "sessions": version.sessions,
        "rows": version.rows,
        "size_mb": f"{version.size_bytes / _BYTES_PER_MB:.2f}",
        "what": commit.operation,
        "changed": _span(commit.first, commit.last),
        "who": commit.writer.who,
        "run": (commit.writer.run_id or "")[:8],
    }


def _span(first: Session | None, last: Session | None) -> str:
    return "" if first is None or last is None else f"{session_key(first)} .. {session_key(last)}"
