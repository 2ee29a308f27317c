"""`qp alerts`, as a person types it after being told."""

from datetime import UTC, datetime

import pytest

from quant_pipelines.clock import FixedClock
from quant_pipelines.journal import open_journal
from quant_pipelines.monitoring import ACCURACY_DROP, DRIFT_SCORE, Limit, Reading, judge
from quant_pipelines.settings import Settings
from tests.commands import Commands

NOON = datetime(2024, 6, 3, 12, tzinfo=UTC)
LIMITS = [Limit(metric=ACCURACY_DROP, most=0.05), Limit(metric=DRIFT_SCORE, most=0.3)]


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """One that is open, and one that is over."""
    commands = Commands(tmp_path, monkeypatch)
    journal = open_journal(Settings(), clock=FixedClock(NOON))
    for day, drop, drifted in ((3, 0.2, 0.5), (4, 0.2, 0.1)):
        readings = [
            Reading(
                session=datetime(2024, 6, day), strategy="easy", metric=metric.name, version="tiny.easy/1", value=value,
                observations=20, about="So it was.",
            )
            for metric, value in ((ACCURACY_DROP, drop), (DRIFT_SCORE, drifted))
        ]  # fmt: skip
        judge(journal, "tiny", readings[0].session, readings, LIMITS, actor="a test")
    return commands


def test_open_alerts_are_told_with_what_was_read_and_what_to_do(scene):
    """S2-35."""
    text = scene.answer("alerts", "list")
    assert "P1  tiny.easy/1:accuracy_drop:2024-06-03  nobody was told" in text
    assert "is 0.2 at 2024-06-03, at most 0.05 is expected. So it was. Look at `prediction_errors`" in text
    assert "1 of 1 open alerts." in text
    both = scene.answer("alerts", "list", "--all")
    assert "P2  tiny.easy/1:drift_score:2024-06-03  nobody was told, over since 2024-06-03 12:00 UTC" in both


def test_who_knows_goes_on_record_and_a_name_that_is_none_lists_those_there_are(scene):
    told = scene.answer(
        "alerts", "acknowledge", "tiny.easy/1:accuracy_drop:2024-06-03", "--as", "Ada", "--why", "I look into it"
    )
    assert "Ada knows of tiny.easy/1:accuracy_drop:2024-06-03." in told
    assert "Ada knows" in scene.answer("alerts", "list")
    _, error = scene("alerts", "acknowledge", "tiny.easy/1:drift_score:2024-06-03", "--as", "Ada", "--why", "why not")
    assert error.code == "QP119"
    assert "Open are: tiny.easy/1:accuracy_drop:2024-06-03" in str(error)
