"""How data follows data: by its upstream, not by the clock."""

from typing import cast

import dagster as dg
from dagster._core.asset_graph_view.entity_subset import EntitySubset


class UpstreamsHaveSession(dg.AutomationCondition[dg.AssetKey]):
    """Every upstream has the very session, or gets it in the same tick.

    A session is made from others too, and those may be missing: the first of a backfill have none before them.
    """

    @property
    def name(self) -> str:
        return "upstreams_have_session"

    @property
    def description(self) -> str:
        return "Every upstream has the same session"

    # Dagster awaits conditions, but its own declaration does not say so.
    async def evaluate(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        subset, partitions = context.candidate_subset, context.partitions_def
        if subset.is_empty or partitions is None:
            return dg.AutomationResult(context, context.get_empty_subset())
        sessions = set(subset.expensively_compute_partition_keys())
        for upstream in context.asset_graph.get(context.key).parent_keys:
            sessions &= await _sessions(context, upstream)
        view = context.asset_graph_view
        return dg.AutomationResult(context, view.get_subset_from_partition_keys(context.key, partitions, sessions))


async def _sessions(context: dg.AutomationContext[dg.AssetKey], upstream: dg.AssetKey) -> set[str]:
    there = await context.asset_graph_view.compute_materialized_asset_subset(upstream)
    asked = cast("EntitySubset[dg.AssetKey] | None", context.request_subsets_by_key.get(upstream))
    coming = asked.expensively_compute_partition_keys() if asked else set[str]()
    return {*there.expensively_compute_partition_keys(), *coming}


def follow_upstream() -> dg.AutomationCondition[dg.AssetKey]:
    """Materialise whatever the upstream changed, late corrections of old sessions included."""
    followed = (
        dg.AutomationCondition.eager()
        .without(dg.AutomationCondition.in_latest_time_window())
        .without(~dg.AutomationCondition.any_deps_missing())
    )
    return (followed & UpstreamsHaveSession()).with_label("follow upstream, any session")


def follow_tables() -> dg.AutomationCondition[dg.AssetKey]:
    """For what has no sessions of its own: made anew once its upstreams are done with what changed in any session."""
    return (
        dg.AutomationCondition.eager()
        .without(~dg.AutomationCondition.any_deps_missing())
        .with_label("follow upstream, as a whole")
    )
