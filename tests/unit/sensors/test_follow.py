"""follow_data asks for what its upstream changed, and for nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from assets.data_versions import data_version_assets
from assets.keys import DATA_VERSIONS, LABELS, PRICES, RAW_BARS, key_of
from assets.labels import label_assets
from assets.prices import price_assets
from quant_pipelines.calendars import calendar_named, parse_session, session_key
from quant_pipelines.prices import REFERENCE_SESSIONS
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.sources import SourcesResource
from sensors.follow import follow_data
from tests.bars import market

FIRST, LAST, NEXT = "2024-01-02", "2024-03-28", "2024-03-29"
# The evening of NEXT in Shanghai: its session is the last partition.
EVENING = datetime(2024, 3, 29, 10, tzinfo=UTC)


class Following:
    """One small market whose raw bars arrive, and the daemon's ticks in between."""

    assets = (price_assets,)

    def __init__(self, home: Path, instance: dg.DagsterInstance, *, last_known: str) -> None:
        self.instance = instance
        self.resources = {
            "lake": LakeResource(root=str(home / "lake"), leases=str(home / "leases")),
            "lineage": LineageResource(home=str(home)),
            "sources": SourcesResource(),
        }
        self.cursor = None
        self.materialise(RAW_BARS, FIRST, last_known)
        self.materialise(PRICES, FIRST, last_known)
        self.tick()

    def assets_of(self, entry) -> list[dg.AssetsDefinition]:
        return [asset for make in self.assets for asset in make(entry)]

    def materialise(self, table: str, first: str, last: str, *, seed: int = 7) -> None:
        entry = following_market(seed)
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        wanted = [key_of(entry, table)]
        made = dg.materialize(
            self.assets_of(entry), selection=wanted, instance=self.instance, resources=self.resources, tags=tags
        )
        assert made.success

    def tick(self) -> dict[str, list[str]]:
        """What the sensor would launch: sessions by table."""
        defs = dg.Definitions(
            assets=self.assets_of(following_market()), sensors=[follow_data], resources=self.resources
        )
        result = dg.evaluate_automation_conditions(
            defs=defs,
            instance=self.instance,
            asset_selection=follow_data.asset_selection,
            evaluation_time=EVENING,
            cursor=self.cursor,
        )
        self.cursor = result.cursor
        self.overviews = [
            each for each in result.results if each.key.path[-1] == DATA_VERSIONS and each.true_subset.size
        ]
        return {
            each.key.path[-1]: sorted(result.get_requested_partitions(each.key))
            for each in result.results
            if not each.true_subset.is_empty and each.key.path[-1] != DATA_VERSIONS
        }

    def overview_asked(self) -> bool:
        """At the last tick."""
        return bool(self.overviews)

    def materialise_overview(self) -> None:
        entry = following_market()
        wanted = [key_of(entry, DATA_VERSIONS)]
        assert dg.materialize(
            self.assets_of(entry), selection=wanted, instance=self.instance, resources=self.resources
        ).success


def following_market(seed: int = 7):
    return market(first_session=FIRST, source={"kind": "synthetic", "seed": seed, "symbols": 3, "sectors": 1})


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The project's own, with events written together."""
    project = str(Path(__file__).parents[3])
    for name, value in {"QP_PROJECT": project, "DAGSTER_HOME": project, "QP_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    monkeypatch.delenv("QP_DATABASE_URL", raising=False)
    with dg.DagsterInstance.get() as made:
        yield made


def test_a_new_session_of_raw_bars_asks_for_the_prices_of_that_session_alone(instance, tmp_path):
    graph = Following(tmp_path, instance, last_known=LAST)
    graph.materialise(RAW_BARS, NEXT, NEXT)
    assert graph.tick() == {PRICES: [NEXT]}


def test_a_corrected_session_asks_for_itself_and_the_sessions_that_refer_to_it(instance, tmp_path):
    """A late correction of 2024-01-10 reaches the sessions whose reference price may come from it."""
    graph = Following(tmp_path, instance, last_known=NEXT)
    graph.materialise(RAW_BARS, "2024-01-10", "2024-01-10", seed=8)
    calendar = calendar_named("XSHG")
    reach = calendar.offset(parse_session("2024-01-10"), REFERENCE_SESSIONS)
    sessions = calendar.sessions(parse_session("2024-01-10"), reach)
    assert graph.tick() == {PRICES: [session_key(each) for each in sessions]}


def test_where_nothing_changed_nothing_is_asked_for(instance, tmp_path):
    graph = Following(tmp_path, instance, last_known=NEXT)
    assert graph.tick() == {}
    assert graph.tick() == {}


def test_what_was_asked_for_once_is_not_asked_for_again(instance, tmp_path):
    graph = Following(tmp_path, instance, last_known=LAST)
    graph.materialise(RAW_BARS, NEXT, NEXT)
    assert graph.tick() == {PRICES: [NEXT]}
    assert graph.tick() == {}
    graph.materialise(PRICES, NEXT, NEXT)
    assert graph.tick() == {}


def test_equal_bars_fetched_again_ask_for_the_same_prices_again(instance, tmp_path):
    """Dagster counts every event of an upstream as an update. It costs work; the content ids stay as they were."""
    graph = Following(tmp_path, instance, last_known=NEXT)
    graph.materialise(RAW_BARS, "2024-03-28", "2024-03-28")
    assert graph.tick() == {PRICES: ["2024-03-28", "2024-03-29"]}


def test_an_old_span_that_arrives_asks_for_no_session_that_has_no_bars(instance, tmp_path):
    """The sessions after it look back on it, but nothing is known of them yet."""
    graph = Following(tmp_path, instance, last_known="2024-02-29")
    graph.materialise(RAW_BARS, "2024-02-28", "2024-02-29", seed=8)
    assert graph.tick() == {PRICES: ["2024-02-28", "2024-02-29"]}


def test_the_daemon_evaluates_the_conditions_where_they_are_known(instance, tmp_path):
    """They are this project's own, so the sensor's tick runs them in the code server, as here."""
    graph = Following(tmp_path, instance, last_known=LAST)
    assets = list(price_assets(following_market()))
    defs = dg.Definitions(assets=assets, sensors=[follow_data], resources=graph.resources)

    def tick(cursor: str | None):
        context = dg.build_sensor_context(instance=instance, repository_def=defs.get_repository_def(), cursor=cursor)
        return follow_data.evaluate_tick(context)

    before = tick(None)
    graph.materialise(RAW_BARS, NEXT, NEXT)
    asked = tick(before.cursor).run_requests
    assert asked is not None
    assert [(each.asset_selection, each.partition_key) for each in asked] == [
        ([key_of(following_market(), PRICES)], NEXT)
    ]


class FollowingLabels(Following):
    """The same with labels, which look ahead."""

    assets = (price_assets, label_assets)


def test_a_new_session_of_prices_comes_back_to_the_labels_that_waited_for_it(instance, tmp_path):
    """A label appears when its span closes, without anybody asking for it; nothing older is touched."""
    graph = FollowingLabels(tmp_path, instance, last_known=LAST)
    graph.materialise(LABELS, FIRST, LAST)
    graph.tick()
    graph.materialise(RAW_BARS, NEXT, NEXT)
    waiting = ["2024-03-22", "2024-03-25", "2024-03-26", "2024-03-27", "2024-03-28", NEXT]
    assert graph.tick() == {PRICES: [NEXT], LABELS: waiting}
    graph.materialise(PRICES, NEXT, NEXT)
    graph.materialise(LABELS, waiting[0], NEXT)
    assert graph.tick() == {}


def test_prices_that_arrive_without_their_labels_bring_these_to_mind(instance, tmp_path):
    """By hand, by the nightly refresh: whoever makes prices need not think of labels."""
    graph = FollowingLabels(tmp_path, instance, last_known=LAST)
    graph.materialise(LABELS, FIRST, LAST)
    graph.tick()
    graph.materialise(RAW_BARS, NEXT, NEXT)
    graph.materialise(PRICES, NEXT, NEXT)
    assert graph.tick() == {LABELS: ["2024-03-22", "2024-03-25", "2024-03-26", "2024-03-27", "2024-03-28", NEXT]}


class FollowingVersions(FollowingLabels):
    """With the overview of all tables; of its upstreams only these three are there."""

    assets = (price_assets, label_assets, data_version_assets)


def test_the_overview_of_versions_follows_any_session_of_any_table(instance, tmp_path):
    """It has no sessions of its own, and most of its upstreams may be missing."""
    graph = FollowingVersions(tmp_path, instance, last_known=LAST)
    graph.materialise_overview()
    graph.tick()
    assert graph.overview_asked() is False
    graph.materialise(RAW_BARS, "2024-01-10", "2024-01-10", seed=8)
    graph.tick()
    assert graph.overview_asked() is True
