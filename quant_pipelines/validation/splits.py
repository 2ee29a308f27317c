"""What every splitter answers."""

from dataclasses import dataclass
from enum import StrEnum

from quant_pipelines.validation.failures import BadSplitSettings
from quant_pipelines.validation.spans import Rows


class Status(StrEnum):
    """Whether there was enough to judge by. Too little is no failure and no evidence (X-42)."""

    OK = "ok"
    INSUFFICIENT_OBSERVATION = "insufficient_observation"


@dataclass(frozen=True, eq=False, kw_only=True)
class Split:
    """Row numbers, ascending. `purged` rows lie in the training sessions and know of the test."""

    train: Rows
    test: Rows
    purged: Rows


@dataclass(frozen=True, eq=False, kw_only=True)
class Splits:
    """The splits in order of time; none, and the reason, where there are too few sessions."""

    status: Status
    splits: tuple[Split, ...]
    reason: str = ""


def insufficient(reason: str) -> Splits:
    """No splits, and why."""
    return Splits(status=Status.INSUFFICIENT_OBSERVATION, splits=(), reason=reason)


def require_at_least(least: int, **settings: int) -> None:
    """Refuse settings below what has a meaning."""
    for name, value in settings.items():
        if value < least:
            raise BadSplitSettings(f"{name} is {value}; it is {least} or more.")
