"""What happened is told as asset events that a user's own sensor hears: once each, and only what is on record."""

from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa
import pytest

from assets.events import event_assets
from assets.keys import EXPERIMENT_STARTED, MODEL_DEPLOYED, PRICES, RAW_BARS, key_of
from assets.prices import price_assets
from quant_pipelines.calendars import parse_session, session_key
from quant_pipelines.deployment import Arm, Experiment, Ref, create, live_now
from quant_pipelines.deployment.failures import UnknownExperiment
from quant_pipelines.lake import Lake, Window
from quant_pipelines.lake import tables as lake_tables
from quant_pipelines.settings import Settings
from resources import project_resources
from resources.journal import JournalResource
from resources.lake import LakeResource
from sensors.events import EventBus, NotOnRecord, event_sensor
from sensors.follow import follow_data
from tests.bars import CLOCK, WRITER, bar, market
from tests.installation import PROJECT
from tests.rollouts import QUICK, Remembered, Rollouts, day, journal_in, observed
from tests.stored import MODEL
from tests.unit.snapshots.conftest import strategy

MARKET = market(name=MODEL.split(".")[0])
EVENING = datetime(2024, 1, 12, 10, tzinfo=UTC)
AT_ONCE = QUICK.model_copy(update={"shadow_sessions": 0, "ladder": (100,)})
SYMBOL = "600001.SH"


class Told:
    """A journal with rollouts, a lake, and an instance with the project's sensor and a user's own ones."""

    def __init__(self, folder, instance) -> None:
        self.folder, self.instance, self.cursor = folder, instance, None
        self.rollouts = Rollouts(journal_in(folder), Remembered())
        self.lake = Lake(str(folder / "lake"), clock=CLOCK)
        self.bus = EventBus(market=MARKET, instance=instance, journal=self.rollouts.journal, lake=self.lake)
        self.cursors: dict[str, str | None] = {}
        self.definitions = dg.Definitions(
            assets=[*price_assets(MARKET), *event_assets(MARKET, {"candles": strategy()})],
            jobs=[react],
            sensors=[follow_data],
            resources=project_resources(Settings(project=PROJECT, home=folder)),
        )

    def tick(self) -> None:
        """As the daemon asks the project's sensor."""
        resources = {
            "journal": JournalResource(home=str(self.folder)),
            "lake": LakeResource(root=str(self.folder / "lake"), leases=str(self.folder / "leases")),
        }
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources=resources) as context:
            self.cursor = event_sensor(MARKET).evaluate_tick(context).cursor

    def heard(self, asset: str, *names: str) -> list[tuple]:
        """What a user's own asset sensor is told at its next look."""

        @dg.asset_sensor(asset_key=key_of(MARKET, asset), name=f"hears_{asset}", job_name="react")
        def mine(context, asset_event):
            event = asset_event.asset_materialization
            told = [event.partition if name == "partition" else event.metadata[name].value for name in names]
            return dg.RunRequest(run_key=context.cursor, tags={str(at): str(each) for at, each in enumerate(told)})

        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(asset), repository_def=self.definitions.get_repository_def()
        ) as context:
            found = mine.evaluate_tick(context)
        self.cursors[asset] = found.cursor
        return [tuple(each.tags[str(at)] for at in range(len(names))) for each in found.run_requests]

    def events(self, asset: str, *names: str) -> list[tuple]:
        """Every event of the asset, oldest first."""
        records = self.instance.fetch_materializations(key_of(MARKET, asset), limit=100).records
        return [tuple(each.asset_materialization.metadata[name].value for name in names) for each in records[::-1]]

    def followed(self, cursor):
        """What the project's own sensor asks for."""
        return dg.evaluate_automation_conditions(
            defs=self.definitions,
            instance=self.instance,
            asset_selection=follow_data.asset_selection,
            evaluation_time=EVENING,
            cursor=cursor,
        )

    def write(self, *sessions: str, close: float = 10.0) -> None:
        """Bars into the lake, outside of a run."""
        labels = [parse_session(each) for each in sessions]
        rows = [bar(each, SYMBOL, close) | {"occurrence": 0} for each in sessions]
        schema = lake_tables.RAW_BARS
        empty = dict.fromkeys(schema.names)
        made = pa.Table.from_pylist([empty | each for each in rows], schema=schema.arrow)
        self.lake.table(MARKET.name, schema).replace(made, window=Window(labels[0], labels[-1]), writer=WRITER)


@dg.job
def react():
    """What a user's own sensor launches."""


@pytest.fixture
def told(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        made = Told(tmp_path, instance)
        made.tick()
        yield made


def experiment(told, name="halves") -> None:
    arms = tuple(Arm(name=each, version=Ref(number=number, id="x"), share=0.5) for number, each in ((1, "a"), (2, "b")))
    made = Experiment(name=name, model=MODEL, arms=arms, measure="ic", since=day(3))
    create(told.rollouts.journal, made, actor="ann")


def test_a_users_sensor_hears_that_a_version_was_deployed(told):
    """S2-95, S2-134: whoever moved it, here no run at all."""
    told.rollouts.deployed("one", policy=AT_ONCE)
    told.tick()
    names = ("model_id", "environment", "journal_row")
    (heard,) = told.heard(MODEL_DEPLOYED, *names)
    row = live_now(told.rollouts.journal, MODEL).champion.row
    assert heard == (f"{MODEL}/1", "production", str(row))
    assert told.heard(MODEL_DEPLOYED, *names) == []


def test_a_users_sensor_hears_that_an_experiment_has_started(told):
    """S2-95."""
    experiment(told)
    told.tick()
    assert told.heard(EXPERIMENT_STARTED, "experiment_id", "model", "actor") == [("halves", MODEL, "ann")]
    assert told.heard(EXPERIMENT_STARTED, "experiment_id") == []


def test_a_users_sensor_hears_that_data_was_synced_and_what_follows_it_reacts(told):
    """S2-95, S2-96: bars that came without a run are told as those of raw_bars, with the lake's own versions."""
    told.write("2024-01-08", "2024-01-09", "2024-01-10")
    before = told.followed(None)
    week = Window(parse_session("2024-01-09"), parse_session("2024-01-12"))
    assert [session_key(each) for each in told.bus.on_data_sync_completed(SYMBOL, week)] == ["2024-01-09", "2024-01-10"]
    assert told.heard(RAW_BARS, "stock_code", "partition") == [(SYMBOL, "2024-01-10")]
    versions = told.lake.stored(MARKET.name, RAW_BARS).session_ids(week)
    assert [each for (each,) in told.events(RAW_BARS, "data_version")] == [versions[each] for each in sorted(versions)]
    assert told.followed(before.cursor).get_requested_partitions(key_of(MARKET, PRICES)) == {
        "2024-01-09",
        "2024-01-10",
    }


def test_a_sync_is_told_once_for_each_content(told):
    told.write("2024-01-08", "2024-01-09")
    days = Window(parse_session("2024-01-08"), parse_session("2024-01-09"))
    assert len(told.bus.on_data_sync_completed(SYMBOL, days)) == 2
    assert told.bus.on_data_sync_completed(SYMBOL, days) == []
    told.write("2024-01-09", close=11.0)
    assert [session_key(each) for each in told.bus.on_data_sync_completed(SYMBOL, days)] == ["2024-01-09"]


def test_every_move_of_a_rollout_is_told_once_and_in_order(told):
    """S2-134: and a roll-back tells who serves everybody again."""
    told.rollouts.deployed("one", policy=AT_ONCE)
    champion = told.rollouts.champion()
    told.rollouts.switch.deploy(told.rollouts.candidate("two", champion=champion), session=day(1))
    seen = observed(*[0.1] * 8, after=1)
    for number in (4, 6, 8):
        told.rollouts.switch.step(MODEL, seen[: number - 1], QUICK, session=day(number))
    told.tick()
    told.rollouts.switch.roll_back(MODEL, session=day(9), reason="it looked odd")
    told.tick()
    moved = told.events(MODEL_DEPLOYED, "model_id", "environment")
    one, two = f"{MODEL}/1", f"{MODEL}/2"
    assert moved == [
        (one, "production"),
        (two, "shadow"),
        (two, "canary"),
        (two, "canary"),
        (two, "production"),
        (one, "production"),
    ]
    rows = [row.sequence for row in told.rollouts.journal.rows(kind="rollout")]
    assert [each for (each,) in told.events(MODEL_DEPLOYED, "journal_row")] == rows


def test_a_candidate_that_is_taken_away_is_no_deployment(told):
    told.rollouts.deployed("one", policy=AT_ONCE)
    told.rollouts.switch.deploy(told.rollouts.candidate("two", champion=told.rollouts.champion()), session=day(1))
    told.rollouts.switch.roll_back(MODEL, session=day(2), reason="it looked odd")
    told.tick()
    assert told.events(MODEL_DEPLOYED, "environment") == [("production",), ("shadow",)]


def test_nothing_is_told_twice_when_the_cursor_is_lost_or_somebody_asks_again(told):
    before = told.cursor
    told.rollouts.deployed("one", policy=AT_ONCE)
    experiment(told)
    told.bus.publish_model_deployed(f"{MODEL}/1", "production")
    told.bus.publish_experiment_started("halves")
    for _ in range(2):
        told.cursor = before
        told.tick()
    assert len(told.events(MODEL_DEPLOYED, "journal_row")) == 1
    assert len(told.events(EXPERIMENT_STARTED, "journal_row")) == 1


def test_it_begins_with_what_happens_after_its_first_look(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        told = Told(tmp_path, instance)
        told.rollouts.deployed("one", policy=AT_ONCE)
        told.tick()
        assert told.events(MODEL_DEPLOYED, "model_id") == []
        told.rollouts.deployed("two", policy=AT_ONCE, after=1)
        told.tick()
        assert told.events(MODEL_DEPLOYED, "model_id") == [(f"{MODEL}/2",)]


@pytest.mark.parametrize(
    ("model_id", "environment"),
    [
        (f"{MODEL}/2", "production"),
        (f"{MODEL}/1", "canary"),
        (f"{MODEL}/1", "moon"),
        ("other.s/1", "production"),
        ("", ""),
    ],
)
def test_a_deployment_that_the_journal_does_not_know_is_refused(told, model_id, environment):
    """S2-95: events are never a second truth."""
    told.rollouts.deployed("one", policy=AT_ONCE)
    with pytest.raises(NotOnRecord, match="No move of the journal"):
        told.bus.publish_model_deployed(model_id, environment)
    assert told.events(MODEL_DEPLOYED, "model_id") == []


def test_an_experiment_or_a_sync_that_is_not_on_record_is_refused(told):
    with pytest.raises(UnknownExperiment, match="nobody"):
        told.bus.publish_experiment_started("nobody")
    told.write("2024-01-08")
    for symbol, first in ((SYMBOL, "2024-01-09"), ("600002.SH", "2024-01-08")):
        with pytest.raises(NotOnRecord, match=f"no bar of {symbol}"):
            told.bus.on_data_sync_completed(symbol, Window(parse_session(first), parse_session("2024-01-10")))
    assert told.events(RAW_BARS, "stock_code") == []


def test_another_markets_rows_are_not_told_here(told):
    told.rollouts.deployed("one", policy=AT_ONCE)
    (row,) = told.rollouts.journal.rows(kind="rollout")
    other = EventBus(market=market(name="other"), instance=told.instance, journal=told.bus.journal, lake=told.lake)
    with pytest.raises(NotOnRecord, match=f"about {MODEL}"):
        other.publish(row)
