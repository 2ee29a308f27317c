"""A market: the configuration that everything else takes as given (X-01)."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from quant_pipelines.calendars import Calendar, Session, calendar_named
from quant_pipelines.calendars.calendar import midnight
from quant_pipelines.documents import Entry


class SyntheticSource(Entry, frozen=True):
    """A seeded market made by arithmetic; see sources/synthetic."""

    kind: Literal["synthetic"]
    seed: int = 7
    symbols: PositiveInt = 60
    sectors: PositiveInt = 6


class Units(Entry, frozen=True):
    """What one unit of the file means: values of the file times these are plain currency and shares."""

    price: PositiveFloat = 1.0
    volume: PositiveFloat = 1.0
    amount: PositiveFloat = 1.0


class Adjustment(Entry, frozen=True):
    """How the files deal with splits and dividends.

    `raw`: as traded, no factors known. `adjusted_close_column`: raw bars beside an adjusted close.
    `factor_column`: a cumulative factor per row. `factor_files`: QuantConnect Lean factor files in `path`.
    `already_adjusted`: prices were adjusted by the vendor; raw prices, hence limits and lots, are unknown.
    """

    kind: Literal["raw", "adjusted_close_column", "factor_column", "factor_files", "already_adjusted"] = "raw"
    column: str | None = None
    path: Path | None = None


# Tables of the installation itself stand beside the markets' under this name.
OPERATIONS = "operations"
RESERVED_NAMES = frozenset({OPERATIONS})


def _position_as_text(value: Any) -> Any:
    """Positions may stand in the YAML as the numbers they are."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class FilesSource(Entry, frozen=True):
    """Files on disk: CSV, CSV.gz, zip, Parquet; one per symbol or one for many; see sources/files.

    `path` is a file or a folder; `pattern` chooses among a folder's files (`**/*.csv` for those below it).
    `symbol` is a regular expression with one group that takes the symbol from the file's name, or a column's name;
    without it a known symbol column counts, else the file's name without its endings.
    `columns` maps fields (date, symbol, open, high, low, close, volume, amount, previous_close) to the file's column
    names where these are not recognised; positions counted from '1' declare a file without a header.
    `date_format` is for strptime, or epoch_s, epoch_ms, epoch_us; `encoding` is Python's name. Both are found out
    where that can be done for certain.
    """

    kind: Literal["files"]
    path: Path
    pattern: str = "*"
    symbol: str | None = None
    columns: dict[str, Annotated[str, BeforeValidator(_position_as_text)]] = Field(default_factory=dict)
    date_format: str | None = None
    encoding: str | None = None
    units: Units = Units()
    adjustment: Adjustment = Adjustment()


Source = Annotated[SyntheticSource | FilesSource, Field(discriminator="kind")]


class Universe(Entry, frozen=True):
    """Which symbols, and when: everything the source knows, a list, or a dated file."""

    symbols: tuple[str, ...] | None = None
    file: Path | None = None


class Quality(Entry, frozen=True):
    """Thresholds of the checks. Fractions, not percent (X-13)."""

    on_hard_finding: Literal["block", "quarantine"] = "block"
    spike_return: PositiveFloat = 0.5
    gap_sessions: PositiveInt = 5
    minimum_coverage: Annotated[float, Field(ge=0, le=1)] = 0.8
    stale_after_sessions: PositiveInt = 2


class Market(Entry, frozen=True):
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

    @model_validator(mode="after")
    def _knows_its_calendar(self) -> "Market":
        """An unknown calendar is found when the file is read, not when it is used."""
        # Its last session is asked for, because some calendars exist by name only.
        calendar_named(self.calendar, self.bar).last_known  # noqa: B018
        return self

    @model_validator(mode="after")
    def _leaves_reserved_names(self) -> "Market":
        if self.name in RESERVED_NAMES:
            raise ValueError(f"{self.name} is the folder of the installation's own tables; choose another name")
        return self

    @property
    def sessions_calendar(self) -> Calendar:
        return calendar_named(self.calendar, self.bar)

    @property
    def begins(self) -> Session:
        return midnight(self.first_session)
