"""The sensor that lets assets follow their upstream."""

import dagster as dg

follow_data = dg.AutomationConditionSensorDefinition(
    "follow_data",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    # Where this project's own conditions are known; the daemon knows Dagster's alone.
    use_user_code_server=True,
    description="Materialises what its upstream changed, session by session.",
)
