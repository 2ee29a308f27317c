"""Every evaluation is on record once, with its window, thresholds and decision, and can be asked for."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from quant_pipelines.calendars import calendar_named, parse_session
from quant_pipelines.journal import Entry
from quant_pipelines.monitoring import SessionErrors
from quant_pipelines.strategies import Retrain
from quant_pipelines.triggers import (
    RISK_EVENT,
    SCHEDULER_AUDIT_LOG,
    audit_of,
    check_triggers,
    decay_started,
    put_on_record,
    scheduler_audits,
    told,
)
from tests.unit.triggers.conftest import errors_at

CALENDAR = calendar_named("XSHG")
QUARTER_END = parse_session("2024-03-29")
BAD = errors_at(
    CALENDAR.sessions(parse_session("2023-09-01"), parse_session("2024-03-28")),
    [1.0] * 100 + [4.0] * (len(CALENDAR.sessions(parse_session("2023-09-01"), parse_session("2024-03-28"))) - 100),
    resolves_after=timedelta(hours=1),
)


def audit(session=QUARTER_END, errors=None, *, market="m", strategy="s", obstacle=None, **policy):
    retrain = Retrain(**policy)
    check = check_triggers(CALENDAR, session, retrain, errors or SessionErrors.none())
    return audit_of(market, strategy, check, retrain, obstacle=obstacle)


def test_what_was_written_is_read_again_as_a_risk_event(journal):
    """S1-01, S1-07, S1-42."""
    written = audit()
    row = put_on_record(journal, written, actor="a test").row
    (found,) = scheduler_audits(journal, last=10)
    assert (found.audit, found.row) == (written, row)
    assert (row.kind, row.payload["code"]) == (RISK_EVENT, SCHEDULER_AUDIT_LOG)
    assert {"window", "thresholds", "decision"} <= row.payload.keys()
    assert journal.verify() == []


def test_at_a_quarters_end_the_run_is_called_quarterly_and_every_reason_is_told():
    """X-22/23."""
    decision = audit(errors=BAD).decision
    assert decision.trigger == "quarterly"
    assert decision.trigger_reasons == ("monthly", "quarterly", "performance_decay", "weekly")


def test_the_same_evaluation_is_one_row_and_the_first_decision_stands(journal):
    first = put_on_record(journal, audit(), actor="a test")
    again = put_on_record(journal, audit(errors=BAD, decay_factor=2.5), actor="somebody else")
    assert again == first
    assert journal.head().sequence == 1


def test_of_many_who_decide_at_once_one_is_on_record_and_all_are_told(journal):
    audits = [audit(decay_factor=2 + number) for number in range(8)]
    with ThreadPoolExecutor(len(audits)) as pool:
        found = list(pool.map(lambda each: put_on_record(journal, each, actor="a test"), audits))
    assert journal.head().sequence == 1
    assert all(each == found[0] for each in found)


def test_another_market_strategy_or_session_is_another_row(journal):
    for each in (audit(), audit(market="n"), audit(strategy="t"), audit(parse_session("2024-03-28"))):
        put_on_record(journal, each, actor="a test")
    assert journal.head().sequence == 4
    assert len(scheduler_audits(journal, market="m", last=10)) == 3
    assert len(scheduler_audits(journal, market="m", strategy="s", last=10)) == 2
    assert [each.audit.market for each in scheduler_audits(journal, market="n", last=10)] == ["n"]


def test_audits_are_found_among_other_risk_events(journal):
    put_on_record(journal, audit(), actor="a test")
    for code in range(5):
        entry = Entry(kind=RISK_EVENT, subject="m.s", actor="a test", payload={"code": f"drawdown_{code}"})
        journal.append(entry)
    journal.append(Entry(kind=RISK_EVENT, subject="m.s", actor="a test", payload={"said": "no code"}))
    (found,) = scheduler_audits(journal, market="m", strategy="s", last=1)
    assert found.audit == audit()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"session": parse_session("2024-03-28")}, "no trigger is true"),
        ({"weekly": "off", "monthly": "off", "quarterly": "off"}, "switches off monthly, quarterly, weekly"),
        ({"obstacle": "nothing is there"}, "nothing is there"),
    ],
)
def test_a_decision_that_starts_nothing_says_why(changes, reason):
    decision = audit(**changes).decision
    assert decision.trigger is None
    assert decision.mode is None
    assert reason in decision.reason


def test_a_line_for_people_has_window_thresholds_and_decision():
    text = told(audit(errors=BAD, decay_factor=2))
    for part in ("m.s after 2024-03-29", "window 2024-03-01 to 2024-03-28", "factor 2", "decision quarterly full"):
        assert part in text
    assert "window 0 sessions with errors" in told(audit())


def test_the_last_training_for_a_decay_is_found_in_the_record(journal):
    def found(session, within=5):
        return decay_started(journal, CALENDAR, "m", "s", closed=session, within=within)

    assert found(QUARTER_END) is None
    put_on_record(journal, audit(parse_session("2024-03-27"), BAD), actor="a test")
    put_on_record(journal, audit(parse_session("2024-03-28")), actor="a test")
    assert found(QUARTER_END) == parse_session("2024-03-27")
    assert found(QUARTER_END, within=1) is None
    assert found(parse_session("2024-03-27")) is None  # itself is not before itself


def test_a_full_run_at_a_months_end_counts_as_the_decays_training(journal):
    """Otherwise the same errors would start a second full training at the next session."""
    put_on_record(journal, audit(errors=BAD), actor="a test")
    following = CALENDAR.offset(QUARTER_END, 1)
    assert decay_started(journal, CALENDAR, "m", "s", closed=following, within=5) == QUARTER_END
