"""What was seen of a candidate, and of the champion on the same rows: all that a decision may look at.

Values only, as they are put on record: null stands for a number that could not be had, and for one that is not finite.
"""

from typing import Literal

from pydantic import Field

from quant_pipelines.calendars import Session
from quant_pipelines.documents import Entry

Status = Literal["ok", "insufficient_observation", "champion_overlap"]


class Estimate(Entry, frozen=True):
    """A measure, with the interval that a block bootstrap over sessions gives it.

    `luck` is the chance of a value as large as this where the model knows nothing; null where that is not known.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    luck: float | None = None


class Gain(Entry, frozen=True):
    """How much better the candidate is on the same rows, with its interval.

    `luck` is the chance of a gain as large as this between two models of equal worth.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    luck: float | None = None


class Seen(Entry, frozen=True):
    """One model on the rows. `shares` says how often it forecast down, neutral and up; `distinct` counts its scores.

    `not_finite` counts forecasts that are no numbers.
    """

    version: str
    version_id: str
    measures: dict[str, Estimate]
    shares: dict[str, float]
    distinct: int
    not_finite: int = 0


class Evidence(Entry, frozen=True):
    """The holdout of one candidate. The sessions are those of the signals, in the market's calendar.

    `reads` counts how often any session of these was looked at before, `trials` every training that the strategy has
    ever begun. `gains` are candidate against champion by measure; `mse_ratio` is theirs, and is below 1 for the better.
    `data` names the frozen bytes that were read: by the candidate, by the champion, and the prices.
    """

    market: str
    strategy: str
    snapshot_id: str
    cutoff: Session
    status: Status
    reason: str = ""
    rows: int
    sessions: int
    first_session: Session | None
    last_session: Session | None
    candidate: Seen
    champion: Seen | None
    gains: dict[str, Gain] = Field(default_factory=dict)
    mse_ratio: Gain | None = None
    reads: int = 0
    trials: int = 0
    incremental: bool = False
    data: dict[str, str] = Field(default_factory=dict)
