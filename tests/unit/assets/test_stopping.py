"""How long work hears that nobody wants it; what it does then is in test_models."""

from types import SimpleNamespace

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from assets.stopping import SECONDS_AFTER_AN_OUTAGE, SECONDS_BETWEEN_LOOKS, stop_of

AWAY = OperationalError("SELECT", None, Exception("server closed the connection unexpectedly"))
REFUSED = ProgrammingError("SELECT", None, Exception("permission denied"))


class Scene:
    """A clock that is moved by hand, and what Dagster's database says of the run."""

    def __init__(self, said) -> None:
        self.now, self.said, self.looks = 100.0, said, 0
        run = SimpleNamespace(run_id="r1")
        context = SimpleNamespace(instance=SimpleNamespace(get_run_by_id=self.look), run=run)
        self.stop = stop_of(context, seconds=lambda: self.now)

    def look(self, run_id: str):
        assert run_id == "r1"
        self.looks += 1
        if isinstance(self.said, Exception):
            raise self.said
        return self.said and SimpleNamespace(status=self.said)

    def after(self, seconds: float) -> bool:
        self.now += seconds
        return self.stop()


def test_it_looks_at_once_and_then_every_few_seconds():
    scene = Scene(dg.DagsterRunStatus.STARTED)
    assert not any(scene.after(each) for each in (0, SECONDS_BETWEEN_LOOKS / 4, SECONDS_BETWEEN_LOOKS / 2))
    assert scene.looks == 1
    assert not scene.after(SECONDS_BETWEEN_LOOKS / 4)
    assert scene.looks == 2


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED])
def test_what_is_not_wanted_any_more_is_never_wanted_again(status):
    scene = Scene(status)
    assert scene.after(0)
    scene.said = dg.DagsterRunStatus.STARTED
    assert scene.after(60)
    assert scene.looks == 1


def test_a_run_whose_record_is_gone_goes_on():
    """Somebody deleted it; nobody said that its work is to end."""
    assert not Scene(None).after(0)


def test_work_goes_on_while_the_database_is_away_and_hears_it_afterwards():
    scene = Scene(AWAY)
    assert not scene.after(0)
    scene.said = dg.DagsterRunStatus.CANCELED
    assert not scene.after(SECONDS_AFTER_AN_OUTAGE - 1)
    assert scene.looks == 1
    assert scene.after(1)


def test_a_database_that_refuses_is_an_error():
    with pytest.raises(ProgrammingError):
        Scene(REFUSED).after(0)
