"""The price assets run by Dagster: events, versions, staleness, checks that block."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from assets.checks.prices import price_checks
from assets.keys import PRICES, RAW_BARS, key_of
from assets.prices import price_assets
from quant_pipelines.calendars import parse_session, session_key
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Lake, tables
from quant_pipelines.markets import Market
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.sources import SourcesResource
from sensors.jobs import refresh_job, refresh_job_name

RANGE = ("2024-03-01", "2024-03-29")
PROJECT = Path(__file__).parents[3]


def market(**changes) -> Market:
    entry = {
        "name": "tiny", "description": "A tiny market.", "calendar": "XSHG", "currency": "CNY",
        "first_session": "2024-01-02", "source": {"kind": "synthetic", "seed": 7, "symbols": 6, "sectors": 2},
        "missing_bar": "suspended", "rules": "a_share",
    }  # fmt: skip
    return Market(**(entry | changes))


class Graph:
    """One market's definitions on an instance and a lake of their own."""

    def __init__(self, home: Path, instance: dg.DagsterInstance) -> None:
        self.home = home
        self.instance = instance

    def definitions(self, entry: Market) -> dg.Definitions:
        return dg.Definitions(
            assets=list(price_assets(entry)),
            asset_checks=list(price_checks(entry)),
            jobs=[refresh_job(entry)],
            resources=self.resources,
            executor=dg.in_process_executor,
        )

    @property
    def resources(self) -> dict[str, dg.ConfigurableResource]:
        return {
            "lake": LakeResource(root=str(self.home / "lake"), leases=str(self.home / "leases")),
            "lineage": LineageResource(home=str(self.home)),
            "sources": SourcesResource(),
        }

    def run(self, entry: Market, first: str, last: str) -> dg.ExecuteInProcessResult:
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        job = self.definitions(entry).resolve_job_def(refresh_job_name(entry))
        return job.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)

    def stale(self, entry: Market, table: str, partition: str) -> str:
        resolver = CachingStaleStatusResolver(
            instance=self.instance,
            asset_graph=self.definitions(entry).resolve_asset_graph(),
            loading_context=LoadingContextForTest(self.instance),
        )
        return resolver.get_status(key_of(entry, table), partition).value

    def versions(self, entry: Market, table: str) -> dict[str, str]:
        """What Dagster shows for each partition, the newest event first."""
        records = self.instance.fetch_materializations(key_of(entry, table), limit=1000).records
        shown: dict[str, str] = {}
        for record in records:
            tags = record.asset_materialization.tags
            shown.setdefault(record.partition_key, tags["dagster/data_version"])
        return shown

    @property
    def lake(self) -> Lake:
        return Lake(str(self.home / "lake"), clock=SystemClock())


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    monkeypatch.setenv("QP_PROJECT", str(PROJECT))
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield Graph(tmp_path, instance)


def test_a_range_is_one_run_and_each_session_has_its_own_content_id_as_data_version(graph):
    entry = market()
    assert graph.run(entry, *RANGE).success
    for name, schema in ((RAW_BARS, tables.RAW_BARS), (PRICES, tables.PRICES)):
        ids = graph.lake.table("tiny", schema).session_ids()
        assert graph.versions(entry, name) == {session_key(session): version for session, version in ids.items()}
        assert len(ids) == 21


def test_equal_content_materialised_again_leaves_everything_fresh(graph):
    entry = market()
    graph.run(entry, *RANGE)
    assert graph.stale(entry, PRICES, "2024-03-15") == "FRESH"
    graph.run(entry, "2024-03-15", "2024-03-15")
    assert graph.stale(entry, PRICES, "2024-03-15") == "FRESH"
    assert graph.stale(entry, PRICES, "2024-03-18") == "FRESH"


def test_a_changed_bar_makes_its_own_and_the_later_sessions_stale_and_no_earlier_one(graph):
    graph.run(market(), *RANGE)
    other = market(source={"kind": "synthetic", "seed": 8, "symbols": 6, "sectors": 2})
    raw_bars, _ = price_assets(other)
    assert dg.materialize(
        [raw_bars], instance=graph.instance, partition_key="2024-03-15", resources=graph.resources
    ).success
    assert graph.stale(other, PRICES, "2024-03-14") == "FRESH"
    assert graph.stale(other, PRICES, "2024-03-15") == "STALE"
    assert graph.stale(other, PRICES, "2024-03-18") == "STALE"


def test_a_materialisation_shows_what_a_person_wants_to_see(graph):
    entry = market()
    graph.run(entry, *RANGE)
    (record,) = graph.instance.fetch_materializations(key_of(entry, PRICES), limit=1).records
    shown = record.asset_materialization.metadata
    assert {"rows", "symbols", "span", "data_version", "restated", "quarantined", "curve", "preview"} <= shown.keys()
    assert shown["span"].value == "2024-03-01 .. 2024-03-29"
    assert shown["curve"].value.startswith("![equal-weight adjusted close")


def test_every_rule_is_a_check_and_all_hold_on_the_demo_market(graph):
    """X-44."""
    result = graph.run(market(), *RANGE)
    evaluations = result.get_asset_check_evaluations()
    hard = [each for each in evaluations if each.severity is dg.AssetCheckSeverity.ERROR]
    assert {"unique_key", "positive_price", "is_session"} <= {each.check_name for each in hard}
    assert [each.check_name for each in hard if not each.passed] == []


def write_files(folder: Path, *, high: float) -> Market:
    """Files of one stock; its high on 2024-03-15 is what the test says."""
    folder.mkdir(exist_ok=True)
    sessions = ("2024-03-13", "2024-03-14", "2024-03-15")
    highs = (10.5, 10.5, high)
    lines = [f"{day},10,{top},9.5,10,1000" for day, top in zip(sessions, highs, strict=True)]
    (folder / "600001.SH.csv").write_text("\n".join(["date,open,high,low,close,volume", *lines]) + "\n")
    return market(source={"kind": "files", "path": str(folder)}, missing_bar="gap", first_session="2024-03-13")


def test_a_broken_hard_rule_stops_the_run_before_prices(graph):
    """S1-32, S1-33: the gate; and the control: the corrected file passes."""
    bad = write_files(graph.home / "bad", high=9.9)
    result = graph.run(bad, "2024-03-13", "2024-03-15")
    assert not result.success
    failed = [each.check_name for each in result.get_asset_check_evaluations() if not each.passed]
    assert failed == ["high_encloses"]
    assert graph.lake.table("tiny", tables.PRICES).version() is None
    (held,) = graph.lake.table("tiny", tables.QUARANTINE).read().to_pylist()
    assert (held["symbol"], held["rule"]) == ("600001.SH", "high_encloses")
    good = write_files(graph.home / "good", high=10.5)
    assert graph.run(good, "2024-03-13", "2024-03-15").success
    assert len(graph.lake.table("tiny", tables.PRICES).session_ids()) == 3
    assert graph.lake.table("tiny", tables.QUARANTINE).read().num_rows == 0


def test_where_the_source_is_gone_the_fallback_answers_and_a_check_says_so(graph):
    """S2-70, S2-109."""
    good = write_files(graph.home / "good", high=10.5)
    gone = {"kind": "files", "path": str(graph.home / "nowhere")}
    entry = good.model_copy(update={"source": market(source=gone).source, "fallback": good.source})
    result = graph.run(entry, "2024-03-13", "2024-03-15")
    assert result.success
    warned = [each for each in result.get_asset_check_evaluations() if each.check_name == "own_source_answers"]
    assert [each.passed for each in warned] == [False, False]
    assert "nowhere" in warned[0].description


def test_an_error_of_ours_fails_at_once_with_its_code_and_its_remedy(graph):
    missing = market(source={"kind": "files", "path": str(graph.home / "nowhere")}, first_session="2024-03-13")
    result = graph.run(missing, "2024-03-13", "2024-03-13")
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    user = failure.step_failure_data.user_failure_data
    assert user.metadata["code"].value.startswith("QP")
    assert "nowhere" in user.description


def test_a_run_that_was_ended_publishes_nothing(graph, monkeypatch):
    """R2: the fence re-reads the run's own status before every commit."""
    entry = market()
    report = dg.DagsterInstance.report_run_failed
    seen: list[str] = []
    original = LakeResource.fence

    def fence(self, context):
        inner = original(self, context)

        def ended_meanwhile() -> AbstractContextManager[None]:
            report(context.instance, context.run)
            seen.append(context.run.run_id)
            return inner()

        return ended_meanwhile

    monkeypatch.setattr(LakeResource, "fence", fence)
    graph.run(entry, *RANGE)
    assert seen
    assert graph.lake.table("tiny", tables.RAW_BARS).session_ids() == {}
    monkeypatch.undo()
    monkeypatch.setenv("QP_PROJECT", str(PROJECT))
    assert graph.run(entry, *RANGE).success
    assert parse_session(RANGE[0]) in graph.lake.table("tiny", tables.RAW_BARS).session_ids()


def test_what_a_run_published_is_on_record_down_to_the_bars(graph):
    """Recorded again without a difference; a session leads to itself and the sessions that refer to it."""
    entry = market()
    graph.run(entry, *RANGE)
    lineage = graph.resources["lineage"].open()
    session = parse_session("2024-03-15")
    found = lineage.dependents("tiny", session)
    assert {each.name for each in found.nodes} == {RAW_BARS, PRICES}
    ids = graph.lake.table("tiny", tables.PRICES).session_ids()
    later = {each: content for each, content in ids.items() if each >= session}
    assert {each.session: each.id for each in found.contents} == later
    graph.run(entry, *RANGE)
    assert lineage.dependents("tiny", session) == found


def test_where_lineage_cannot_be_recorded_nothing_is_published(graph):
    """Lineage goes before the commit: what nobody could trace never becomes visible."""
    (graph.home / "journal.db").write_bytes(b"no database" * 100)
    assert not graph.run(market(), *RANGE).success
    assert graph.lake.table("tiny", tables.RAW_BARS).session_ids() == {}
