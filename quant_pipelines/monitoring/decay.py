"""Does a strategy err more than it used to? Its absolute errors, one number a session, and what is made of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.calendars import Session
from quant_pipelines.errors import DataRejected

Dates = NDArray[np.datetime64]
_UNIT = "datetime64[us]"


class BadErrors(DataRejected):
    """Prediction errors that nothing can be concluded from."""

    code = "QP237"


@dataclass(frozen=True, eq=False)
class SessionErrors:
    """The mean absolute error of each session's predictions, oldest first, and the session at which it was known."""

    session: Dates
    resolves: Dates
    absolute_error: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not self.session.shape == self.resolves.shape == self.absolute_error.shape == (self.session.size,):
            raise BadErrors(
                f"There are {self.session.shape} sessions, {self.resolves.shape} resolutions and "
                f"{self.absolute_error.shape} errors. Give one of each per session."
            )
        if np.any(self.session[1:] <= self.session[:-1]):
            raise BadErrors("The sessions of prediction errors do not rise. Give each once, oldest first.")
        if not np.all(np.isfinite(self.absolute_error) & (self.absolute_error >= 0)):
            raise BadErrors("An absolute error is negative or no number. Leave out what could not be measured.")
        if np.any(self.resolves <= self.session):
            raise BadErrors("An error is known before its prediction could be judged. Check the labels' `resolves`.")
        for each in (self.session, self.resolves, self.absolute_error):
            each.flags.writeable = False

    @classmethod
    def none(cls) -> Self:
        """Nothing was observed yet."""
        return cls(np.empty(0, _UNIT), np.empty(0, _UNIT), np.empty(0, np.float64))

    @property
    def sessions(self) -> int:
        return int(self.session.size)

    def known_at(self, session: Session) -> Self:
        """What was known when this session had closed."""
        known = (self.session <= np.datetime64(session, "us")) & (self.resolves <= np.datetime64(session, "us"))
        return type(self)(self.session[known], self.resolves[known], self.absolute_error[known])


@dataclass(frozen=True, slots=True, kw_only=True)
class DecayLimits:
    """So many recent sessions, how much worse than those before them, and how many there must be in all (X-24)."""

    recent_sessions: int
    factor: float
    least_values: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The first and the last session of a part."""

    first: Session
    last: Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Decay:
    """The recent mean error against that of all the sessions before. Without enough sessions it says nothing (X-42)."""

    status: Literal["ok", "insufficient_observation"]
    values: int
    recent_avg: float | None = None
    historical_avg: float | None = None
    recent: Span | None = None
    historical: Span | None = None
    decayed: bool = False


def decay(errors: SessionErrors, limits: DecayLimits) -> Decay:
    """Compare the newest sessions that have an error with all the sessions before them."""
    count = errors.sessions
    if count < limits.least_values or count <= limits.recent_sessions:
        return Decay(status="insufficient_observation", values=count)
    cut = count - limits.recent_sessions
    recent, historical = (float(part.mean()) for part in (errors.absolute_error[cut:], errors.absolute_error[:cut]))
    return Decay(
        status="ok",
        values=count,
        recent_avg=recent,
        historical_avg=historical,
        recent=_span(errors.session[cut:]),
        historical=_span(errors.session[:cut]),
        decayed=recent > historical * limits.factor,
    )


def _span(sessions: Dates) -> Span:
    first, last = (_label(each) for each in (sessions[0], sessions[-1]))
    return Span(first=first, last=last)


def _label(session: np.datetime64) -> datetime:
    label: datetime = session.astype(_UNIT).item()
    return label
