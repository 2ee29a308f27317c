"""The check of one session: what is true, from what was known at its close."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.calendars import calendar_named, parse_session
from quant_pipelines.calendars.exchange import CalendarEnds
from quant_pipelines.monitoring import SessionErrors
from quant_pipelines.settings import Settings
from quant_pipelines.strategies import Retrain
from quant_pipelines.triggers import check_triggers, effective
from tests.unit.triggers.conftest import errors_at

CALENDAR = calendar_named("XSHG")
CLOSED = parse_session("2024-03-29")
SESSIONS = CALENDAR.sessions(parse_session("2023-06-01"), CLOSED)
NEXT_SESSION = dict(zip(SESSIONS, [*SESSIONS[1:], CALENDAR.offset(CLOSED, 1)], strict=True))


def known(values, *, closed=CLOSED):
    """One error a session, the newest known at the close, each resolved a session after its signal."""
    last = SESSIONS.index(closed)
    signals = SESSIONS[last - len(values) : last]
    resolves = np.array([NEXT_SESSION[each] for each in signals], "datetime64[us]")
    return SessionErrors(np.array(signals, "datetime64[us]"), resolves, np.array(values, float))


def check(errors, closed=CLOSED, **changes):
    started = changes.pop("decay_started", None)
    return check_triggers(CALENDAR, closed, Retrain(**changes), errors, decay_started=started)


def test_a_check_tells_everything():
    """S3-54."""
    found = check(known([1.0] * 50 + [2.0] * 20))
    assert (found.weekly, found.monthly, found.quarterly, found.performance_decay) == (True, True, True, True)
    assert (found.performance_recent_avg, found.performance_historical_avg) == (2.0, 1.0)
    assert found.status == "ok"
    assert found.true == ("monthly", "quarterly", "performance_decay", "weekly")


def test_an_ordinary_session_says_no():
    found = check(known([1.0] * 70, closed=parse_session("2024-03-27")), parse_session("2024-03-27"))
    assert found.true == ()


@pytest.mark.parametrize("count", [0, 1, 20, 59])
def test_too_few_values_are_no_evidence_however_bad(count):
    """X-24, X-42."""
    found = check(known([1.0] * max(0, count - 20) + [99.0] * min(count, 20)))
    assert (found.status, found.performance_decay) == ("insufficient_observation", False)
    assert (found.performance_recent_avg, found.performance_historical_avg) == (None, None)


def test_sixty_values_are_enough():
    """X-24."""
    assert check(known([1.0] * 40 + [1.6] * 20)).performance_decay
    assert not check(known([1.0] * 40 + [1.5] * 20)).performance_decay


@given(future=st.lists(st.floats(0, 1e9), min_size=1, max_size=30), late=st.integers(1, 9))
def test_the_check_does_not_change_when_the_future_arrives(future, late):
    """Neither by errors of later sessions, nor by errors of earlier ones that were known later."""
    closed = SESSIONS[-40]
    before = known([1.0] * 60 + [1.4] * 20, closed=closed)
    later = errors_at(SESSIONS[-40:][: len(future)], future, resolves_after=timedelta(days=late))
    everything = SessionErrors(
        np.concatenate([before.session, later.session]),
        np.concatenate([before.resolves, later.resolves]),
        np.concatenate([before.absolute_error, later.absolute_error]),
    )
    assert check(everything, closed) == check(before, closed)


@pytest.mark.parametrize(("ago", "cooling"), [(1, True), (4, True), (5, False), (30, False)])
def test_a_decay_cools_down_for_five_sessions(ago, cooling):
    """X-24."""
    found = check(known([1.0] * 50 + [2.0] * 20), decay_started=SESSIONS[-1 - ago])
    assert found.performance_decay is not cooling
    assert found.status == ("cooldown" if cooling else "ok")
    assert found.performance_recent_avg == 2.0


def test_a_training_that_started_later_cools_nothing_down():
    """A session that is evaluated late sees no later one."""
    assert check(known([1.0] * 50 + [2.0] * 20), decay_started=CALENDAR.offset(CLOSED, 1)).performance_decay


def test_errors_of_long_ago_are_no_recent_ones():
    stale = known([1.0] * 50 + [9.0] * 20, closed=SESSIONS[-21])
    assert check(stale).status == "insufficient_observation"
    assert check(stale, SESSIONS[-21]).performance_decay


def test_beyond_the_published_calendar_a_check_says_so():
    with pytest.raises(CalendarEnds, match="Upgrade exchange-calendars"):
        check_triggers(CALENDAR, CALENDAR.last_known, Retrain(), SessionErrors.none())


@pytest.fixture
def environment(monkeypatch, tmp_path):
    def given_as(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"QP_TRIGGER_{name.upper()}", str(value))
        return Settings(project=tmp_path)

    return given_as


def test_the_environments_thresholds_stand_over_the_strategys(environment):
    """S1-42."""
    own = Retrain(decay_factor=3, decay_sessions=7, weekly="off")
    assert effective(own, environment()) == own
    settings = environment(decay_factor=2, decay_least_values=30)
    assert effective(own, settings) == Retrain(decay_factor=2, decay_sessions=7, decay_least_values=30, weekly="off")
    settings = environment(decay_sessions=9, decay_cooldown_sessions=8)
    assert (effective(own, settings).decay_sessions, effective(own, settings).decay_cooldown_sessions) == (9, 8)


@pytest.mark.parametrize(("name", "value"), [("decay_factor", 1), ("decay_factor", "inf"), ("decay_sessions", 0)])
def test_thresholds_that_mean_nothing_are_refused(environment, name, value):
    with pytest.raises(ValueError, match=f"trigger_{name}"):
        environment(**{name: value})
