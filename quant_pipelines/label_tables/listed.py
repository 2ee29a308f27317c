"""What listings say by a session: who had come and who had left. What they say of later days is nobody's business."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

from quant_pipelines.calendars import Session
from quant_pipelines.digest import digest_json
from quant_pipelines.labels.venue import Listed


@dataclass(frozen=True, slots=True)
class ListingHistory:
    """Listings and delistings in order, and after each of them the digest of all so far."""

    moments: Sequence[Session]
    digests: Sequence[str]

    @classmethod
    def of(cls, listings: Sequence[Listed]) -> Self:
        events = sorted(
            [(each.listed, "listed", each.symbol) for each in listings]
            + [(each.delisted, "delisted", each.symbol) for each in listings if each.delisted is not None]
        )
        texts = [[moment.isoformat(), what, symbol] for moment, what, symbol in events]
        digests = list(accumulate(texts, lambda before, event: digest_json([before, event]), initial=digest_json([])))
        return cls([moment for moment, _, _ in events], digests)

    def known_by(self, session: Session) -> str:
        """The digest of everything up to and including the session."""
        return self.digests[bisect_right(self.moments, session)]
