"""One look: which sessions are evaluated, which wait, and how far each strategy is afterwards."""

from datetime import datetime

import pytest

from quant_pipelines.monitoring import SessionErrors
from quant_pipelines.triggers import Checker, Watch
from quant_pipelines.triggers.ticking import NO_INPUTS, SESSIONS_PER_TICK
from tests.unit.triggers.conftest import market_of, strategy_of

MARKET = market_of("XSHG")
CALENDAR = MARKET.sessions_calendar
SESSIONS = CALENDAR.sessions(datetime(2023, 1, 3), datetime(2023, 6, 30))
# Nothing of it starts, so that looks are not cut short.
QUIET = strategy_of(weekly="off", monthly="off", quarterly="off", performance_decay="off")


@pytest.fixture
def look(journal):
    """Looks with inputs for some sessions only."""

    def with_inputs(there, cursor, closed, strategies=(QUIET,)):
        checker = Checker(
            market=MARKET,
            journal=journal,
            retrain_of=lambda strategy: strategy.retrain,
            errors_of=lambda *_: SessionErrors.none(),
        )
        watch = Watch(checker=checker, inputs_of=lambda _, window: {s for s in there if s in window}, actor="a test")
        return watch.look(list(strategies), cursor, closed)

    return with_inputs


def evaluated(outcome):
    return [each.audit.window.session for each in outcome.recorded]


def test_a_long_pause_is_caught_up_with_in_several_looks(look):
    cursor, found = {"s": SESSIONS[0]}, []
    while (outcome := look(SESSIONS, cursor, SESSIONS[-1])).recorded:
        assert len(outcome.recorded) <= SESSIONS_PER_TICK
        found += evaluated(outcome)
        cursor = outcome.cursor
    assert found == SESSIONS[1:]


def test_a_long_gap_of_inputs_holds_nobody_up(look):
    """It is longer than a look reaches."""
    gap = SESSIONS_PER_TICK + 5
    there = SESSIONS[1 + gap :]
    outcome = look(there, {"s": SESSIONS[0]}, SESSIONS[-1])
    assert evaluated(outcome) == SESSIONS[1 : 1 + SESSIONS_PER_TICK]
    assert {each.audit.decision.reason for each in outcome.recorded} == {NO_INPUTS}
    outcome = look(there, outcome.cursor, SESSIONS[-1])
    assert evaluated(outcome)[:6] == SESSIONS[1 + SESSIONS_PER_TICK :][:6]
    assert outcome.recorded[5].audit.decision.reason != NO_INPUTS


def test_while_nothing_later_has_its_inputs_a_session_waits(look):
    outcome = look(SESSIONS[:10], {"s": SESSIONS[7]}, SESSIONS[12])
    assert evaluated(outcome) == SESSIONS[8:10]
    outcome = look(SESSIONS[:10], outcome.cursor, SESSIONS[12])
    assert (outcome.recorded, outcome.waiting) == ([], {"s": SESSIONS[10]})


def test_the_first_session_of_all_is_not_forgotten_while_it_waits(look):
    first = look([], {}, SESSIONS[5])
    assert first.waiting == {"s": SESSIONS[5]}
    assert evaluated(look(SESSIONS, first.cursor, SESSIONS[7])) == SESSIONS[5:8]


def test_the_last_published_session_waits_until_the_next_one_is(look):
    """Nobody knows what it ends."""
    last = CALENDAR.last_known
    before = CALENDAR.offset(last, -1)
    outcome = look([before, last], {"s": CALENDAR.offset(last, -2)}, last)
    assert evaluated(outcome) == [before]
    assert look([before, last], outcome.cursor, last).recorded == []


def test_one_strategy_does_not_wait_for_another(look):
    other = strategy_of("other")
    outcome = look(SESSIONS, {"s": SESSIONS[-2], "other": SESSIONS[-4]}, SESSIONS[-1], (QUIET, other))
    assert evaluated(outcome) == [SESSIONS[-1], *SESSIONS[-3:]]
    assert outcome.cursor == {"s": SESSIONS[-1], "other": SESSIONS[-1]}
    assert [each.audit.decision.trigger for each in outcome.recorded][-1] == "quarterly"
