"""How data follows data: by its upstream, not by the clock."""

import dagster as dg


def follow_upstream() -> dg.AutomationCondition:
    """Materialise whatever the upstream changed, late corrections of old sessions included."""
    return (
        dg.AutomationCondition.eager()
        .without(dg.AutomationCondition.in_latest_time_window())
        # The first sessions of a backfill have no sessions before them yet; their reference price is null till then.
        .without(~dg.AutomationCondition.any_deps_missing())
        .with_label("follow upstream, any session")
    )


def follow_tables() -> dg.AutomationCondition:
    """For what has no sessions of its own: made anew once its upstreams are done with what changed in any session."""
    return (
        dg.AutomationCondition.eager()
        .without(~dg.AutomationCondition.any_deps_missing())
        .with_label("follow upstream, as a whole")
    )
