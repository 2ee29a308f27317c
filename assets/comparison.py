"""model_comparison of one market: up to four trained models side by side (S2-33)."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.keys import MODEL, MODEL_COMPARISON, TRAINING, key_of
from assets.metadata import records
from assets.reactions import reacting
from quant_pipelines.digest import digest_json
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.markets import Market
from quant_pipelines.registry import ModelStore, Version
from quant_pipelines.strategies import Strategy
from quant_pipelines.training import MOST_MODELS, ModelComparison, compare, comparison_page, report_of
from resources.models import ModelStoreResource
from resources.pages import PagesResource

_FORMAT = "1"
_CONFIG = {
    "models": dg.Field(
        [str],
        default_value=[],
        description=f"Up to {MOST_MODELS} versions such as demo.demo_linear/1, as `qp models list` names them; newest "
        "ones of different strategies where none is named.",
    )
}


class NotAVersion(OperatorActionRequired):
    """A name that is none of a stored version."""

    code = "QP164"


def comparison_assets(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetsDefinition]:
    """One asset for each market that has strategies."""
    if not strategies:
        return []

    @dg.asset(
        key=key_of(market, MODEL_COMPARISON),
        deps=[key_of(market, MODEL)],
        group_name=TRAINING,
        description=f"Trained models side by side: measures, differing hyper-parameters, curves and importances.\n\n"
        f"{market.description}",
        config_schema=_CONFIG,
        code_version=_FORMAT,
        owners=[market.owner],
        kinds={"html"},
        tags={"market": market.name},
    )
    def model_comparison(
        context: dg.AssetExecutionContext, models: ModelStoreResource, pages: PagesResource
    ) -> dg.MaterializeResult:
        with reacting(context):
            store, asked = models.open(), context.op_execution_context.op_config["models"]
            versions = [_named(store, each) for each in asked] or _newest(store, market, strategies)
            found = compare([report_of(store.load(each.model, each.number).manifest) for each in versions])
            page = pages.write(f"{market.name}/model_comparison.html", comparison_page(found))
        return dg.MaterializeResult(
            metadata={
                "models": ", ".join(each.name for each in versions),
                "page": dg.MetadataValue.path(str(page)),
                **_metadata(found),
            },
            data_version=dg.DataVersion(digest_json(sorted(each.id for each in versions))),
        )

    return [model_comparison]


def _named(store: ModelStore, name: str) -> Version:
    model, _, number = name.rpartition("/")
    if not model or not number.isdigit():
        raise NotAVersion(f"{name!r} names no version. Write it as `qp models list` does, e.g. demo.demo_linear/1.")
    return store.version(model, int(number))


def _newest(store: ModelStore, market: Market, strategies: Mapping[str, Strategy]) -> list[Version]:
    """The newest versions of different strategies, the latest trained first."""
    newest = [found[-1] for name in strategies if (found := store.versions(f"{market.name}.{name}"))]
    return sorted(newest, key=lambda each: each.created_at, reverse=True)[:MOST_MODELS]


def _metadata(found: ModelComparison) -> dict[str, Any]:
    names = [each.name for each in found.models]
    return {
        "metrics": records([{"measure": row.metric, **_beside(names, row.values)} for row in found.metrics]),
        "hyperparameters": records(
            [{"parameter": row.parameter, **_beside(names, row.values)} for row in found.parameters]
        ),
        "same_data": found.same_data,
    }


def _beside(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))
