"""What is watched of a model that serves: a number of each kind a session, and how far each may go (S2-87, S2-118)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum

import pyarrow as pa

from quant_pipelines.arrays import SESSION, SESSION_TYPE
from quant_pipelines.calendars import Session
from quant_pipelines.lake.schemas import Column, TableSchema

STRATEGY, METRIC = "strategy", "metric"


class Priority(StrEnum):
    """How soon a person has to know."""

    P1 = "P1"
    P2 = "P2"


# A person is told within this time, and again as often until somebody says that they know (S1-15).
WITHIN: Mapping[Priority, timedelta] = {Priority.P1: timedelta(minutes=5), Priority.P2: timedelta(minutes=15)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One kind of number, and what to do where it is beyond its limit."""

    name: str
    priority: Priority
    description: str
    advice: str


ACCURACY_DROP = Metric(
    name="accuracy_drop",
    priority=Priority.P1,
    description="How much less often the champion's predictions pointed the right way lately than in the holdout that "
    "let it go live.",
    advice="Look at `prediction_errors`, then train again or roll back.",
)
LATENCY_MS = Metric(
    name="latency_ms",
    priority=Priority.P2,
    description="The slowest answer of any version at the session, in milliseconds.",
    advice="See `served` of `predictions`: which version was slow, and what else the machine was doing.",
)
DRIFT_SCORE = Metric(
    name="drift_score",
    priority=Priority.P2,
    description="How much further what the champion was given lately lies from what it was trained on than as many "
    "sessions of the training do: 0 for no further, 1 for nothing in common, over all of its columns.",
    advice="See which columns have moved; train again if the market has changed, mend the source if it has not.",
)
METRICS = (ACCURACY_DROP, LATENCY_MS, DRIFT_SCORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One number of one strategy at one session; without a value too little was seen, and `about` says what."""

    session: Session
    strategy: str
    metric: str
    version: str
    value: float | None
    observations: int
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How far a metric may go. Exactly so far is allowed."""

    metric: Metric
    most: float


MODEL_MONITORING = TableSchema(
    "model_monitoring",
    "What is watched of the models that serve: accuracy, response times and drift, a row for each a session.",
    key=(SESSION, STRATEGY, METRIC),
    columns=(
        Column(SESSION, SESSION_TYPE, "The session at whose close it was read.", nullable=False),
        Column(STRATEGY, pa.string(), "The strategy that serves.", nullable=False),
        Column(METRIC, pa.string(), "accuracy_drop, latency_ms or drift_score.", nullable=False),
        Column("version", pa.string(), "The champion.", nullable=False),
        Column("value", pa.float64(), "The number; null where too little was seen."),
        Column("observations", pa.int64(), "How many answers, or sessions, it was made of.", nullable=False),
        Column("about", pa.string(), "What it was made of, in words.", nullable=False),
    ),
)


def rows_of(readings: Sequence[Reading]) -> pa.Table:
    """The readings as rows of the table."""
    table = pa.Table.from_pylist([asdict(each) for each in readings], schema=MODEL_MONITORING.arrow)
    return table.sort_by([(name, "ascending") for name in MODEL_MONITORING.key])
