"""How data follows data: by its upstream, not by the clock."""

import dagster as dg


def follow_upstream() -> dg.AutomationCondition:
    """Materialise whatever the upstream changed, late corrections of old sessions included."""
    return (
        dg.AutomationCondition.eager()
        .without(dg.AutomationCondition.in_latest_time_window())
        .with_label("follow upstream, any session")
    )
