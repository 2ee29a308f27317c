"""What a factor report is about."""

from dataclasses import dataclass
from typing import ClassVar

from quant_pipelines.errors import OperatorActionRequired


class ReportRefused(OperatorActionRequired):
    """The report cannot be made from what was given."""

    code: ClassVar[str] = "QP256"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """`horizon_sessions` is the return the headline is about; `fewest_names` is the least for a correlation."""

    horizon_sessions: int = 1
    horizons: tuple[int, ...] = (1, 2, 5, 10, 20)
    quantiles: int = 5
    fewest_names: int = 10
    redundant_from: float = 0.9
    trailing_sessions: int = 250
    similarity_sessions: int = 60

    def __post_init__(self) -> None:
        least = (self.quantiles - 1, self.fewest_names - 1, self.horizon_sessions, *self.horizons)
        if min(*least, self.trailing_sessions, self.similarity_sessions) < 1:
            raise ReportRefused(f"{self} has no meaning: at least two quantiles, two names and one session.")
        if self.horizon_sessions not in self.horizons:
            raise ReportRefused(f"The headline's {self.horizon_sessions} sessions are not among {self.horizons}.")

    @property
    def reach_sessions(self) -> int:
        """How far back a report looks. The first trailing session's turnover is measured against the one before it."""
        return self.trailing_sessions
