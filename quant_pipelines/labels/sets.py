"""The label sets: what each one measures and when it opens and resolves, in sessions of the market."""

from dataclasses import dataclass
from datetime import datetime

from quant_pipelines.calendars import Calendar, Session
from quant_pipelines.labels.failures import BadLabelSettings

# A fraction: 0.5 percent.
THRESHOLD = 0.005
DUAL_SESSIONS = 5
# A daily limit is 10 to 30 percent; a threshold beyond it was meant in percent.
_LARGEST_THRESHOLD = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """+1 above one return, -1 below another, 0 between; without the lower edge there are only 1 and 0."""

    up_above: float
    down_below: float | None = None

    def __post_init__(self) -> None:
        edges = (self.up_above, self.up_above if self.down_below is None else self.down_below)
        if not -_LARGEST_THRESHOLD <= edges[1] <= edges[0] <= _LARGEST_THRESHOLD:
            raise BadLabelSettings(
                f"Thresholds {self.down_below} and {self.up_above} have no meaning. They are fractions, the lower one "
                "first: half a percent is 0.005."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSet:
    """The return from one close after the signal to another; on request its class and its sessions one by one."""

    name: str
    opens_after: int
    resolves_after: int
    classes: Classes | None = None
    by_session: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.opens_after < self.resolves_after:
            raise BadLabelSettings(
                f"Label set {self.name} opens {self.opens_after} and resolves {self.resolves_after} sessions after the "
                "signal. It opens at the signal's close or later, and resolves after it has opened."
            )
        if self.by_session and self.resolves_after - self.opens_after != DUAL_SESSIONS:
            raise BadLabelSettings(f"Label set {self.name}: returns by session are stored for {DUAL_SESSIONS} of them.")

    @property
    def width(self) -> int:
        """How many returns a model of this set emits (X-37)."""
        return DUAL_SESSIONS if self.by_session else 1

    @property
    def span_sessions(self) -> int:
        """Sessions from the signal until nothing of the label is unknown: the length of every gap (X-02)."""
        return self.resolves_after

    @property
    def closes(self) -> tuple[int, ...]:
        """The closes that the label is made of, in sessions after the signal."""
        step = 1 if self.by_session else self.resolves_after - self.opens_after
        return tuple(range(self.opens_after, self.resolves_after + 1, step))

    def span(self, session: Session, calendar: Calendar) -> tuple[datetime, datetime]:
        """The sessions at whose closes the label of a signal opens and resolves."""
        return calendar.offset(session, self.opens_after), calendar.offset(session, self.resolves_after)

    def resolved_in(self, session: Session, calendar: Calendar) -> Session:
        """The signal whose label becomes known at this session's close."""
        return calendar.offset(session, -self.resolves_after)


SIGN = Classes(up_above=0.0)


def direction3(*, horizon_sessions: int = 1, threshold: float = THRESHOLD) -> LabelSet:
    """Up, neutral or down over a horizon. Whatever is not the default shows in the name."""
    name = "direction3"
    if (horizon_sessions, threshold) != (1, THRESHOLD):
        name += f"_{horizon_sessions}_{threshold:g}"
    return LabelSet(
        name=name,
        opens_after=0,
        resolves_after=horizon_sessions,
        classes=Classes(up_above=threshold, down_below=-threshold),
    )


LABEL_SETS = {
    each.name: each
    for each in (
        direction3(),
        LabelSet(name="dual", opens_after=0, resolves_after=DUAL_SESSIONS, classes=SIGN, by_session=True),
        # Ref($close, -2) / Ref($close, -1) - 1: bought at the next close, since the signal is made after this one.
        LabelSet(name="qlib_return", opens_after=1, resolves_after=2),
    )
}
