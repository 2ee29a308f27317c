"""Can a source be reached? Lack of keys is never a failure (S1-29)."""

from dataclasses import dataclass
from enum import StrEnum

from quant_pipelines.calendars import session_key
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.sources.protocol import BarSource

MISSING_CREDENTIALS = "missing_credentials"


class Reach(StrEnum):
    """How a connectivity check ended."""

    OK = "ok"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Connectivity:
    """Whether a source answers, and what it said."""

    reach: Reach
    reason: str


def check_connectivity(source: BarSource) -> Connectivity:
    """Ask the source how far it reaches; without its credentials it is not asked at all."""
    if source.missing_credentials:
        return Connectivity(Reach.SKIPPED, MISSING_CREDENTIALS)
    try:
        last = source.watermark().last_session
    except QuantPipelinesError as error:
        return Connectivity(Reach.FAILED, str(error))
    return Connectivity(Reach.OK, f"reaches {session_key(last)}" if last else "no bars yet")
