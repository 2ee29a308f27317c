"""What happens outside of a run, as assets of Dagster: each of their materialisations is one event."""

from collections.abc import Mapping, Sequence

import dagster as dg

from assets.keys import EXPERIMENT_STARTED, GOVERNANCE, MODEL_DEPLOYED, PREDICTIONS, ROLLOUT, key_of
from quant_pipelines.markets import Market
from quant_pipelines.strategies import Strategy


def event_assets(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetSpec]:
    """Two for each market that has strategies. Nobody makes them: they are told, from the journal's rows."""
    if not strategies:
        return []
    told = (
        (MODEL_DEPLOYED, ROLLOUT, "A version has come into an environment: shadow, canary or production."),
        (EXPERIMENT_STARTED, PREDICTIONS, "An experiment divides what serves from the next session on."),
    )
    return [
        dg.AssetSpec(
            key_of(market, name),
            deps=[key_of(market, after)],
            group_name=GOVERNANCE,
            description=f"{text} One event for each row of the journal that says so.\n\n{market.description}",
            owners=[market.owner],
            tags={"market": market.name},
        )
        for name, after, text in told
    ]
