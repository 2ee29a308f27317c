"""Property 1: whatever a sync of data brought, exactly what depends on it is asked for."""

from datetime import UTC, datetime
from itertools import pairwise

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.features import feature_assets, registry_of
from assets.keys import PRICES, RAW_BARS, key_of
from assets.partitions import session_partitions
from assets.prices import price_assets
from quant_pipelines.calendars import parse_session, session_key
from quant_pipelines.prices import REFERENCE_SESSIONS, consecutive
from quant_pipelines.prices.changes import MOST_SPANS
from quant_pipelines.settings import Settings
from resources import project_resources
from sensors.follow import follow_data
from sensors.jobs import refresh_request
from tests.bars import market
from tests.installation import PROJECT

# The evening of the last session in Shanghai.
EVENING = datetime(2024, 3, 29, 10, tzinfo=UTC)
MARKET = market(first_session="2024-01-15")
INDICATORS = "indicators"
SESSIONS = session_partitions(MARKET).get_partition_keys(current_time=EVENING)
# Places of sessions that were there before; prices look back from the last ones past the first ones.
KNOWN = (0, 1, *range(29, 42))
DAYS = [parse_session(each) for each in SESSIONS]


class Synced:
    """A market of which some sessions are materialised, and the sensor that follows it."""

    def __init__(self, instance, defs, cursor=None) -> None:
        self.instance, self.defs, self.cursor = instance, defs, cursor
        for name in (RAW_BARS, PRICES, INDICATORS):
            self.materialised(name, [SESSIONS[place] for place in KNOWN])

    def materialised(self, name, sessions) -> None:
        for each in sessions:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(key_of(MARKET, name), partition=each))

    def tick(self):
        """What the sensor asks for: sessions by table."""
        result = dg.evaluate_automation_conditions(
            defs=self.defs,
            instance=self.instance,
            asset_selection=follow_data.asset_selection,
            evaluation_time=EVENING,
            cursor=self.cursor,
        )
        self.cursor = result.cursor
        return {
            each.key.path[-1]: set(result.get_requested_partitions(each.key))
            for each in result.results
            if not each.true_subset.is_empty
        }


@pytest.fixture(scope="module")
def defs():
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("QP_PROJECT", str(PROJECT))
        resources = project_resources(Settings())
    indicators = [each for each in feature_assets(MARKET) if each.key.path[-1] == INDICATORS]
    return dg.Definitions(assets=[*price_assets(MARKET), *indicators], sensors=[follow_data], resources=resources)


@pytest.fixture(scope="module")
def settled(defs):
    """Where the sensor stands when it has seen what was there before. Equal events in equal order have equal numbers,
    so that each example may begin from here."""
    with dg.DagsterInstance.ephemeral() as instance:
        graph = Synced(instance, defs)
        assert graph.tick() == {}
        return graph.cursor


def reached(places, there, *, reach):
    """The sessions that are made from any of these: themselves and so many after them, where there are any."""
    return {each for each in there if any(place <= each <= place + reach for place in places)}


@settings(max_examples=100, deadline=None)
@given(synced=st.sets(st.integers(0, len(SESSIONS) - 1), min_size=1, max_size=3))
def test_every_sync_asks_for_exactly_the_sessions_that_depend_on_it(defs, settled, synced):
    """S2-96.

    Feature: mlops-optimization, Property 1: for every completed data sync, the pipeline reacts and computes the right
    indicators.
    """
    with dg.DagsterInstance.ephemeral() as instance:
        graph = Synced(instance, defs, settled)
        graph.materialised(RAW_BARS, [SESSIONS[place] for place in sorted(synced)])
        asked = graph.tick()
    there = {*KNOWN, *synced}
    prices = reached(synced, there, reach=REFERENCE_SESSIONS)
    (look_back,) = [each.look_back_sessions for each in registry_of(MARKET).sets if each.name == INDICATORS]
    indicators = reached(prices, there, reach=len(SESSIONS) if look_back is None else look_back)
    wanted = {PRICES: prices, INDICATORS: indicators}
    assert asked == {name: {SESSIONS[place] for place in places} for name, places in wanted.items()}


@settings(max_examples=300)
@given(changed=st.sets(st.sampled_from(DAYS), min_size=1))
def test_the_runs_of_a_sync_hold_its_sessions_and_few_others(changed):
    """S2-96.

    Feature: mlops-optimization, Property 1: for every completed data sync, the pipeline reacts and computes the right
    indicators.
    """
    spans = consecutive(MARKET.sessions_calendar, sorted(changed))
    requests = [refresh_request(MARKET, span, mark="mark") for span in spans]
    ranges = [
        (each.tags["dagster/asset_partition_range_start"], each.tags["dagster/asset_partition_range_end"])
        for each in requests
    ]
    held = [day for first, last in ranges for day in DAYS if first <= session_key(day) <= last]
    gaps = [day for day, after in pairwise(DAYS) if day in changed and after not in changed]
    pieces = len(gaps) + (DAYS[-1] in changed)
    if pieces <= MOST_SPANS:
        assert held == sorted(changed)
        assert len(requests) == pieces
    else:
        assert held == [day for day in DAYS if min(changed) <= day <= max(changed)]
    assert len({each.run_key for each in requests}) == len(requests)
