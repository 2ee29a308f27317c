"""Evidence as tests write it: few words for a candidate, the rest as an honest evaluation would have it."""

from datetime import datetime
from typing import Any

from quant_pipelines.evaluation.evidence import Estimate, Evidence, Gain, Seen

CUTOFF = datetime(2024, 1, 31)
# Of what a model shows that knows something.
LUCK = {"mcc": 0.001, "ic": 0.001}


def seen(version: str, version_id: str | None = None, **measures: float | None) -> Seen:
    values = {"f1": 0.5, "balanced_f1": 0.5, "mcc": 0.1, "mse": 1.0, "ic": 0.02, **measures}
    return Seen(
        version=version,
        version_id=version_id or version * 64,
        measures={name: Estimate(value=value, luck=LUCK.get(name)) for name, value in values.items()},
        shares={"down": 0.4, "neutral": 0.1, "up": 0.5},
        distinct=50,
    )


def evidence(**changes: Any) -> Evidence:
    """A candidate that is better by 0.06 in F1, and not by luck."""
    candidate = seen("2", f1=0.56, balanced_f1=0.54)
    values: dict[str, Any] = {
        "market": "demo",
        "strategy": "candles",
        "snapshot_id": "5" * 64,
        "cutoff": CUTOFF,
        "status": "ok",
        "rows": 600,
        "sessions": 60,
        "first_session": datetime(2023, 11, 1),
        "last_session": CUTOFF,
        "candidate": candidate,
        "champion": seen("1"),
        "gains": {"f1": gain(0.56 - 0.5), "balanced_f1": gain(0.04)},
        "mse_ratio": Gain(value=0.99, low=0.97, high=1.01, luck=0.3),
    }
    return Evidence(**values | changes)


def gain(value: float | None, luck: float | None = 0.001, **ends: float | None) -> Gain:
    return Gain(value=value, luck=luck, **ends)
