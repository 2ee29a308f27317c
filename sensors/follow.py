"""The sensor that lets assets follow their upstream."""

import dagster as dg

follow_data = dg.AutomationConditionSensorDefinition(
    "follow_data",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Materialises what its upstream changed, session by session.",
)
