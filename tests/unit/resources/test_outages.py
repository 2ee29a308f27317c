"""A PostgreSQL that goes away in the middle costs no event, and no event is stored twice (R4)."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import dagster as dg
import psycopg2
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.base import EventLogStorage
from dagster_postgres import PostgresEventLogStorage
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from resources.outages import is_outage, outlast, outlasting
from resources.publishing import RunCannotBeHeld, publishing

PROJECT = Path(__file__).parents[3]
EVENTS = 30
# Fewer prove nothing.
CUTS = 5
SECONDS = 30.0
# Long enough for something to get through in between.
PAUSE_SECONDS = 0.3


def lost() -> OperationalError:
    return OperationalError("COMMIT", None, psycopg2.OperationalError("server closed the connection unexpectedly"))


def test_what_is_answered_late_is_answered():
    asked: list[bool] = []

    def call(repeated: bool) -> str:
        asked.append(repeated)
        if len(asked) < 3:
            raise lost()
        return "here"

    assert outlast(call, seconds=SECONDS) == "here"
    assert asked == [False, True, True]


def test_a_server_that_stays_away_is_given_up_in_time():
    begin = time.monotonic()
    with pytest.raises(OperationalError, match="server closed"):
        outlast(lambda _: (_ for _ in ()).throw(lost()), seconds=0.5)
    assert 0.4 <= time.monotonic() - begin < 5


def test_what_the_server_refused_is_not_asked_again():
    asked: list[bool] = []

    def refused(repeated: bool) -> None:
        asked.append(repeated)
        raise IntegrityError("INSERT", None, psycopg2.IntegrityError("duplicate key"))

    with pytest.raises(IntegrityError):
        outlast(refused, seconds=SECONDS)
    assert asked == [False]


def test_an_outage_is_told_from_an_error():
    gave_up = DagsterPostgresException("too many retries for DB connection")
    gave_up.__cause__ = lost()
    assert [is_outage(lost()), is_outage(gave_up)] == [True, True]
    assert [is_outage(ValueError()), is_outage(DagsterPostgresException("other"))] == [False, False]


def test_a_method_that_dagster_has_moved_is_named():
    with pytest.raises(ValueError, match="moved"):
        outlasting(EventLogStorage, but={"store_evnt"})


@pytest.fixture
def url(new_database) -> str:
    return new_database()


@pytest.fixture
def instance(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    for name, value in {"QP_PROJECT": str(PROJECT), "DAGSTER_HOME": str(PROJECT), "QP_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("QP_DATABASE_URL", url)
    with dg.DagsterInstance.get() as made:
        yield made


@contextmanager
def storm(url: str) -> Iterator[list[int]]:
    """Somebody cuts every connection to the database, again and again; tells how many were cut."""
    cut, over = [0], threading.Event()
    server = psycopg2.connect(f"{url.rpartition('/')[0]}/postgres")
    server.autocommit = True
    name = url.rpartition("/")[2]

    def rage() -> None:
        with server.cursor() as cursor:
            while not over.wait(PAUSE_SECONDS):
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s", (name,)
                )
                cut[0] += cursor.fetchone()[0]

    raging = threading.Thread(target=rage)
    raging.start()
    try:
        yield cut
    finally:
        over.set()
        raging.join()
        server.close()


def materialised(run_id: str, number: int) -> EventLogEntry:
    event = DagsterEvent(
        DagsterEventType.ASSET_MATERIALIZATION.value,
        "job",
        event_specific_data=StepMaterializationData(
            dg.AssetMaterialization("a", partition=str(number), tags={"dagster/data_version": str(number)})
        ),
    )
    return entry(run_id, event)


def entry(run_id: str, event: DagsterEvent | None, message: str = "") -> EventLogEntry:
    return EventLogEntry(
        error_info=None, level=20, user_message=message, run_id=run_id, timestamp=time.time(), dagster_event=event
    )


def started(instance: dg.DagsterInstance) -> dg.DagsterRun:
    run = instance.create_run_for_job(dg.job(name="j")(lambda: None))
    instance.report_dagster_event(DagsterEvent(DagsterEventType.PIPELINE_START.value, "j"), run.run_id)
    return run


@pytest.mark.postgres
def test_in_a_storm_every_event_is_stored_once(instance, url):
    run = started(instance)
    stored = 0
    with storm(url) as cut:
        # A quick machine has stored all of them between two cuts.
        while stored < EVENTS or cut[0] < CUTS:
            with publishing(instance, run.run_id):
                instance.event_log_storage.store_event(materialised(run.run_id, stored))
            instance.event_log_storage.store_event(entry(run.run_id, None, f"line {stored}"))
            assert instance.get_run_by_id(run.run_id) is not None
            stored += 1
        instance.report_run_failed(run)
    found = instance.fetch_materializations(dg.AssetKey("a"), limit=2 * stored).records
    assert sorted(int(each.partition_key) for each in found) == list(range(stored))
    tags = instance.get_event_tags_for_asset(dg.AssetKey("a"))
    assert sorted(int(each["dagster/data_version"]) for each in tags) == list(range(stored))
    lines = [each.user_message for each in instance.all_logs(run.run_id) if each.user_message.startswith("line")]
    assert sorted(lines) == sorted(f"line {number}" for number in range(stored))
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE


@pytest.mark.postgres
def test_in_the_same_storm_stock_dagster_loses_events(instance, url):
    """The control: once this fails, Dagster has mended it, and resources/outages.py may go."""
    stock, run, failures = PostgresEventLogStorage(url), started(instance), 0
    ends = time.monotonic() + SECONDS
    with storm(url):
        for number in count():
            try:
                stock.store_event(materialised(run.run_id, number))
            except DBAPIError:
                failures += 1
            if failures or time.monotonic() > ends:
                break
    assert failures > 0


@pytest.mark.postgres
def test_an_event_whose_answer_was_lost_is_not_stored_again(instance):
    """It was committed, and then the connection broke: nobody can tell but by looking."""
    storage, run = instance.event_log_storage, started(instance)
    check = AssetCheckEvaluation(dg.AssetKey("a"), "holds", passed=True, metadata={})
    evaluated = DagsterEvent(DagsterEventType.ASSET_CHECK_EVALUATION.value, "j", event_specific_data=check)
    batch = [materialised(run.run_id, number) for number in range(3)]
    for together in (batch, [entry(run.run_id, evaluated)], [entry(run.run_id, None, "a line")]):

        def heard_the_second_time(repeated: bool, events=together) -> None:
            storage.store_together(events, repeated=repeated)
            if not repeated:
                raise lost()

        before = len(instance.all_logs(run.run_id))
        outlast(heard_the_second_time, seconds=SECONDS)
        assert len(instance.all_logs(run.run_id)) == before + len(together)
    assert len(instance.get_event_tags_for_asset(dg.AssetKey("a"))) == 3
    history = storage.get_asset_check_execution_history(dg.AssetCheckKey(dg.AssetKey("a"), "holds"), limit=10)
    assert len(history) == 1


@pytest.mark.postgres
def test_a_run_whose_database_stays_away_publishes_nothing_and_may_be_tried_again(instance, url, monkeypatch):
    run = started(instance)
    monkeypatch.setattr(instance.run_storage, "outage_seconds", 0.5)
    administer(url, "ALTER DATABASE {} ALLOW_CONNECTIONS false")
    with pytest.raises(RunCannotBeHeld, match="publishes nothing now"), publishing(instance, run.run_id):
        pytest.fail("nobody knows whether the run still counts")
    administer(url, "ALTER DATABASE {} ALLOW_CONNECTIONS true")
    with publishing(instance, run.run_id):
        pass


def administer(url: str, statement: str) -> None:
    server = psycopg2.connect(f"{url.rpartition('/')[0]}/postgres")
    server.autocommit = True
    with server.cursor() as cursor:
        cursor.execute(statement.format(f'"{url.rpartition("/")[2]}"'))
    server.close()
