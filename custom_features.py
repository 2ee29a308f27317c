"""Your own features. Each becomes a column of every market's `custom_features` table.

A feature is a qlib-style formula or a Python function of one symbol's history; docs/features.md says how.
Whatever looks ahead is refused: a formula when this file is read, a function before it is first computed.
"""

from datetime import UTC, datetime

from quant_pipelines.features.custom import expression

SINCE = datetime(2026, 11, 21, tzinfo=UTC)

FEATURES = (
    expression(
        "pull_back_20",
        "$close / Max($high, 20) - 1",
        "Close against the highest high of 20 sessions.",
        SINCE,
    ),
    expression(
        "quiet_volume_20",
        "Mean($volume, 5) / Mean($volume, 20)",
        "Volume of the last week against that of the last month.",
        SINCE,
    ),
)

# Windows of indicators other than the usual ones, such as {"rsi": ((6,), (14,), (24,))} for three RSIs side by side.
INDICATOR_WINDOWS: dict[str, tuple[tuple[int, ...], ...]] = {}
