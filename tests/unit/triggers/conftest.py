"""Markets of three calendars, a strategy, a journal, and the ends of weeks, months and quarters found slowly."""

import warnings
from datetime import UTC, datetime, timedelta

import exchange_calendars
import numpy as np
import pandas as pd
import pytest

from quant_pipelines.clock import FixedClock
from quant_pipelines.journal import FileAnchor, Journal, sqlite_url
from quant_pipelines.monitoring import SessionErrors
from tests.bars import market as synthetic
from tests.unit.snapshots.conftest import strategy as recipe

CLOCK = FixedClock(datetime(2024, 6, 28, 20, tzinfo=UTC))
RULES = {"XSHG": "a_share", "XNYS": "us_equity", "24/7": "crypto"}
FIRST, LAST = datetime(2023, 1, 1), datetime(2024, 12, 31)


def market_of(calendar, **changes):
    return synthetic(calendar=calendar, rules=RULES[calendar], first_session="2020-01-02", **changes)


def strategy_of(name="s", **retrain):
    return recipe(name=name, market="m", retrain=retrain)


def all_days(calendar):
    """Every session from two years before the simulation to a year after it, from the exchange's own package."""
    if calendar == "24/7":
        return list(pd.date_range("2021-01-01", "2025-12-31").to_pydatetime())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = exchange_calendars.get_calendar(calendar, start="2021-01-01", end="2025-12-31")
        return list(found.sessions.to_pydatetime())


def last_of_each(days, period):
    """The last session of each week (W-SUN ends on Sunday), month (M) or quarter (Q)."""
    series = pd.Series(days, index=pd.DatetimeIndex(days))
    return set(series.groupby(series.index.to_period(period)).max().dt.to_pydatetime())


def errors_at(sessions, values, *, resolves_after=timedelta(days=1)):
    days = np.array(sessions, "datetime64[us]")
    return SessionErrors(days, days + np.timedelta64(resolves_after), np.array(values, float))


@pytest.fixture
def journal(tmp_path):
    return Journal(sqlite_url(tmp_path / "journal.db"), FileAnchor(tmp_path / "journal.anchor"), clock=CLOCK)
