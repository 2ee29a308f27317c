"""`qp incidents`, as a person types it after something failed."""

from datetime import UTC, datetime, timedelta

import pytest

from quant_pipelines.cli.project import open_lake
from quant_pipelines.monitoring import Incident, record_incident
from quant_pipelines.settings import Settings
from tests.commands import Commands

NOON = datetime(2024, 6, 3, 12, tzinfo=UTC)
LONG = "1 raw bars of us broke hard rules (null_price: 1). " + "Correct them at the source. " * 5


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """Three on two days, one of them before there was a run."""
    commands = Commands(tmp_path, monkeypatch)
    lake = open_lake(Settings())
    told = (
        ("3f9c1a7788", "build_us", "us__prices", "QP203", LONG, 0),
        ("tick-8a11c2", "files_of_cn", None, "QP301", "The source [cn] did not answer.", 1),
        ("77aa00bb11", "refresh_us", "us__prices", None, "ZeroDivisionError: division by zero", 24),
    )
    for run_id, job, step, code, message, hours in told:
        seen_at = NOON + timedelta(hours=hours)
        record_incident(lake, Incident(run_id=run_id, job=job, step=step, code=code, message=message, seen_at=seen_at))
    return commands


def test_each_is_told_by_when_where_its_code_and_all_of_its_words_the_newest_last(scene):
    text = scene.answer("incidents")
    heads = [line for line in text.splitlines() if line.startswith("2024")]
    assert heads == [
        "2024-06-03 12:00:00  build_us / us__prices  QP203  3f9c1a77",
        "2024-06-03 13:00:00  files_of_cn  QP301  tick-8a11c2",
        "2024-06-04 12:00:00  refresh_us / us__prices  77aa00bb",
    ]
    assert LONG.strip() in text
    assert "The source [cn] did not answer." in text
    assert text.endswith("3 of 3 incidents.\n")


def test_the_newest_alone_can_be_asked_for(scene):
    newest = scene.answer("incidents", "--last", "1")
    assert "division by zero" in newest
    assert "1 of 3 incidents." in newest


def test_a_home_without_any_says_so(tmp_path, monkeypatch):
    assert Commands(tmp_path, monkeypatch).answer("incidents") == "Nothing has failed.\n"
