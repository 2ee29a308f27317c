"""A market: the configuration that everything else takes as given (X-01)."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from quant_pipelines.calendars import Calendar, Session, calendar_named
from quant_pipelines.calendars.calendar import midnight


class Entry(BaseModel):
    """Frozen, and closed to unknown fields: a typo is an error, not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class SyntheticSource(Entry):
    """A seeded market made by arithmetic; see sources/synthetic."""

    kind: Literal["synthetic"]
    seed: int = 7
    symbols: PositiveInt = 60
    sectors: PositiveInt = 6


class Units(Entry):
    """What one unit of the file means: prices and amounts are divided or multiplied to reach plain currency and shares."""

    price: PositiveFloat = 1.0
    volume: PositiveFloat = 1.0
    amount: PositiveFloat = 1.0


class Adjustment(Entry):
    """How the files deal with splits and dividends.

    `raw`: as traded, no factors known. `adjusted_close_column`: raw bars beside an adjusted close.
    `factor_column`: a cumulative factor per row. `factor_files`: QuantConnect Lean factor files in `path`.
    `already_adjusted`: prices were adjusted by the vendor; raw prices, hence limits and lots, are unknown.
    """

    kind: Literal["raw", "adjusted_close_column", "factor_column", "factor_files", "already_adjusted"] = "raw"
    column: str | None = None
    path: Path | None = None


class FilesSource(Entry):
    """Files on disk: CSV, CSV.gz, zip, Parquet; one per symbol or one for many; see sources/files."""

    kind: Literal["files"]
    path: Path
    pattern: str = "*"
    symbol: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    date_format: str | None = None
    encoding: str | None = None
    units: Units = Units()
    adjustment: Adjustment = Adjustment()


Source = Annotated[SyntheticSource | FilesSource, Field(discriminator="kind")]


class Universe(Entry):
    """Which symbols, and when: everything the source knows, a list, or a dated file."""

    symbols: tuple[str, ...] | None = None
    file: Path | None = None


class Quality(Entry):
    """Thresholds of the checks. Fractions, not percent (X-13)."""

    on_hard_finding: Literal["block", "quarantine"] = "block"
    spike_return: PositiveFloat = 0.5
    gap_sessions: PositiveInt = 5
    minimum_coverage: Annotated[float, Field(ge=0, le=1)] = 0.8
    stale_after_sessions: PositiveInt = 2


class Market(Entry):
    """One entry of markets.yaml."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    description: str
    calendar: str
    bar: Literal["1d", "1h"] = "1d"
    currency: str
    first_session: date
    source: Source
    fallback: Source | None = None
    universe: Universe = Universe()
    missing_bar: Literal["suspended", "gap"]
    rules: str
    quality: Quality = Quality()
    owner: str = "team:quant"

    def model_post_init(self, context: Any) -> None:
        self.sessions_calendar  # an unknown calendar is found when the file is read, not when it is used

    @property
    def sessions_calendar(self) -> Calendar:
        return calendar_named(self.calendar, self.bar)

    @property
    def begins(self) -> Session:
        return midnight(self.first_session)
