"""Markets that never close: crypto trades every hour of every day, weekends included (X-01)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from quant_pipelines.calendars.calendar import NotASession, Session

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1)
_FAR_FUTURE = datetime(2100, 1, 1)


@dataclass(frozen=True, slots=True)
class AlwaysOpen:
    """Sessions follow each other without a gap, counted in UTC."""

    step: timedelta = DAY

    def __post_init__(self) -> None:
        if self.step not in (DAY, HOUR):
            raise ValueError(f"A 24/7 session lasts one day or one hour, not {self.step}.")

    @property
    def name(self) -> str:
        return "24/7"

    @property
    def timezone(self) -> str:
        return "UTC"

    @property
    def last_known(self) -> Session:
        return _FAR_FUTURE

    def sessions(self, first: Session, last: Session) -> list[Session]:
        begin = -((_EPOCH - first) // self.step)
        count = (last - _EPOCH) // self.step - begin + 1
        return [_EPOCH + (begin + index) * self.step for index in range(count)]

    def is_session(self, label: Session) -> bool:
        return (label - _EPOCH) % self.step == timedelta(0)

    def close_of(self, session: Session) -> datetime:
        self._require(session)
        return (session + self.step).replace(tzinfo=UTC)

    def offset(self, session: Session, count: int) -> Session:
        self._require(session)
        return session + count * self.step

    def last_closed(self, now: datetime) -> Session:
        passed = now.astimezone(UTC).replace(tzinfo=None) - _EPOCH
        return _EPOCH + (passed // self.step - 1) * self.step

    def _require(self, session: Session) -> None:
        if not self.is_session(session):
            before = _EPOCH + (session - _EPOCH) // self.step * self.step
            raise NotASession(self.name, session, before=before, after=before + self.step)
