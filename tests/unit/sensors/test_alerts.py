"""Alerts are told by a sensor, as Dagster evaluates it."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from quant_pipelines.clock import FixedClock, SystemClock
from quant_pipelines.journal import Journal, open_journal
from quant_pipelines.monitoring import ACCURACY_DROP, Limit, Reading, alerts, incidents, judge
from quant_pipelines.settings import Settings
from resources.journal import JournalResource
from resources.lake import LakeResource
from resources.monitoring import MonitoringResource
from sensors.alerts import tell_alerts
from tests.receivers import receiving

PROJECT = Path(__file__).parents[3]
ALERT = "tiny.easy/1:accuracy_drop:2024-06-03"


@pytest.fixture
def receiver(monkeypatch):
    with receiving() as made:
        monkeypatch.setenv("QP_ALERT_URL", made.url)
        yield made


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("QP_PROJECT", str(PROJECT))
    monkeypatch.setenv("QP_HOME", str(tmp_path))
    return tmp_path


def read(value: float, *, ago: timedelta = timedelta(0), day: int = 3) -> Journal:
    """What was read some time ago."""
    journal = open_journal(Settings(), clock=FixedClock(SystemClock().now() - ago))
    reading = Reading(
        session=datetime(2024, 6, day), strategy="easy", metric=ACCURACY_DROP.name, version="tiny.easy/1", value=value,
        observations=20, about="So it was.",
    )  # fmt: skip
    judge(journal, "tiny", reading.session, [reading], [Limit(metric=ACCURACY_DROP, most=0.05)], actor="a test")
    return journal


def tick(home: Path, cursor: str | None = None) -> tuple[str, str]:
    """One look: what the tick says, and its cursor."""
    resources = {
        "lake": LakeResource(root=f"{home}/lake", leases=f"{home}/leases"),
        "journal": JournalResource(home=str(home)),
        "monitoring": MonitoringResource(
            accuracy_drop=0.05, latency_ms=1000, drift_score=0.3, sessions=20, home=str(home)
        ),
    }
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance, cursor=cursor, resources=resources) as context,
    ):
        return tell_alerts(context).skip_message, context.cursor


def earlier(cursor: str, by: timedelta) -> str:
    """The cursor as it would be if all of it had been so long ago."""
    return json.dumps({name: (datetime.fromisoformat(at) - by).isoformat() for name, at in json.loads(cursor).items()})


def test_an_alert_is_told_at_the_next_look_and_again_after_its_time(receiver, home):
    """S1-15, S2-88."""
    read(0.2)
    told, cursor = tick(home)
    assert told == f"Told: {ALERT}."
    for minutes, expected in ((0, 1), (4, 1), (5, 2)):
        told, after = tick(home, earlier(cursor, timedelta(minutes=minutes)))
        assert len(receiver.got) == expected
    read(0.0, day=4)
    told, after = tick(home, after)
    assert receiver.got[-1][1][0]["annotations"]["status"] == "over"
    assert after == "{}"


def test_whom_nobody_could_tell_in_time_is_an_incident_once(receiver, home):
    """S2-101."""
    receiver.status = 503
    lake = LakeResource(root=f"{home}/lake", leases=f"{home}/leases").open()
    read(0.2, ago=timedelta(minutes=4))
    assert "127.0.0.1 did not take 1 alerts: HTTP 503" in tick(home)[0]
    assert incidents(lake).num_rows == 0
    read(0.0, day=4)
    journal = read(0.3, ago=timedelta(minutes=6), day=5)
    tick(home)
    tick(home)
    (found,) = incidents(lake).to_pylist()
    assert found["code"] == "QP332"
    assert "Nobody was told of tiny.easy/1:accuracy_drop:2024-06-05 within 5 minutes" in found["message"]
    assert "secret" not in found["message"]
    receiver.status = 200
    assert tick(home)[0] == f"Told: {ALERT}, tiny.easy/1:accuracy_drop:2024-06-05."
    assert all(each.told_at for each in alerts(journal))


def test_without_anybody_to_tell_the_tick_says_so(home, monkeypatch):
    monkeypatch.delenv("QP_ALERT_URL", raising=False)
    journal = read(0.2)
    assert tick(home)[0] == "1 alerts are open, and nobody is told: QP_ALERT_URL is not set."
    assert alerts(journal)[0].told_at is None
