"""The feature assets run by Dagster: one build, versions, staleness, checks that block, the report's page."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from dagster._core.definitions.repository_definition import RepositoryDefinition
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster_shared.serdes import serialize_value

from assets.checks.features import feature_checks
from assets.checks.prices import price_checks
from assets.factor_report import factor_report_assets
from assets.features import feature_assets, reach_mapping, registry_of
from assets.keys import FACTOR_REPORT, PRICES, key_of
from assets.prices import price_assets
from quant_pipelines.calendars import parse_session, session_key
from quant_pipelines.clock import SystemClock
from quant_pipelines.feature_tables import feature_schema
from quant_pipelines.lake import Lake, Window, Writer
from quant_pipelines.markets import Market
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.machine import MachineResource
from resources.pages import PagesResource
from resources.sources import SourcesResource
from sensors.jobs import build_job, build_job_name, refresh_job

PROJECT = Path(__file__).parents[3]
RANGE = ("2024-03-18", "2024-03-29")
TABLES = ("indicators", "alpha158", "custom_features")


def market(**changes) -> Market:
    entry = {
        "name": "tiny", "description": "A tiny market.", "calendar": "XSHG", "currency": "CNY",
        "first_session": "2024-01-02", "source": {"kind": "synthetic", "seed": 7, "symbols": 10, "sectors": 2},
        "missing_bar": "suspended", "rules": "a_share",
    }  # fmt: skip
    return Market(**(entry | changes))


class Graph:
    """One market's whole graph on an instance and a home of their own."""

    def __init__(self, home: Path, instance: dg.DagsterInstance) -> None:
        self.home = home
        self.instance = instance
        self.entry = market()
        self.lake = Lake(str(home / "lake"), clock=SystemClock())

    @property
    def definitions(self) -> dg.Definitions:
        makers = (price_assets, feature_assets, factor_report_assets)
        return dg.Definitions(
            assets=[each for make in makers for each in make(self.entry)],
            asset_checks=[each for make in (price_checks, feature_checks) for each in make(self.entry)],
            jobs=[refresh_job(self.entry), build_job(self.entry)],
            resources={
                "lake": LakeResource(root=str(self.home / "lake"), leases=str(self.home / "leases")),
                "lineage": LineageResource(home=str(self.home)),
                "sources": SourcesResource(),
                "machine": MachineResource(threads=2),
                "pages": PagesResource(folder=str(self.home / "pages")),
            },
            executor=dg.in_process_executor,
        )

    def build(self, first: str, last: str) -> dg.ExecuteInProcessResult:
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        job = self.definitions.resolve_job_def(build_job_name(self.entry))
        return job.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)

    def events(self, table: str) -> dict[str, dg.AssetMaterialization]:
        """The newest of each partition."""
        found: dict[str, dg.AssetMaterialization] = {}
        for record in self.instance.fetch_materializations(key_of(self.entry, table), limit=1000).records:
            assert record.asset_materialization is not None
            found.setdefault(str(record.partition_key), record.asset_materialization)
        return found

    def schemas(self):
        return {each.name: feature_schema(each) for each in registry_of(self.entry).sets}


@contextmanager
def fresh_graph(home: Path) -> Iterator[Graph]:
    with pytest.MonkeyPatch.context() as patch, dg.instance_for_test(temp_dir=str(home)) as instance:
        patch.setenv("QP_PROJECT", str(PROJECT))
        yield Graph(home, instance)


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    with fresh_graph(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Graph, dg.ExecuteInProcessResult]]:
    """Two weeks, built once."""
    with fresh_graph(tmp_path_factory.mktemp("built")) as made:
        yield made, made.build(*RANGE)


def test_one_build_brings_every_table_with_its_content_ids_as_data_versions(built):
    graph, done = built
    assert done.success
    for name, schema in graph.schemas().items():
        ids = graph.lake.table("tiny", schema).session_ids()
        shown = {key: event.tags["dagster/data_version"] for key, event in graph.events(name).items()}
        assert shown == {session_key(session): version for session, version in ids.items()}
        assert len(ids) == 10
    checks = done.get_asset_check_evaluations()
    assert {each.asset_key.path[-1] for each in checks} == {"raw_bars", "prices", *TABLES}
    assert all(each.passed for each in checks if each.blocking)


def test_the_metadata_shows_what_a_person_looks_for(built):
    graph, _done = built
    shown = graph.events("alpha158")["2024-03-29"].metadata
    assert shown["features"].value == 158
    assert shown["filled"].value.endswith("% of all values")
    assert {"coverage", "preview", "span", "symbols", "definitions"} <= shown.keys()
    report = graph.events(FACTOR_REPORT)["2024-03-29"].metadata
    assert report["shown_session"].value == "2024-03-29"
    assert {"strongest", "clusters", "cumulative_rank_ic", "quantile_returns", "decay"} <= report.keys()
    page = Path(str(report["tear_sheet"].value))
    assert page == graph.home / "pages" / "tiny" / "factor_report_2024-03-29.html"
    assert page.read_text(encoding="utf-8").count("<svg") >= 5


def test_building_again_computes_nothing_and_says_so(built):
    graph, _done = built
    before = {name: graph.lake.table("tiny", schema).version() for name, schema in graph.schemas().items()}
    assert graph.build("2024-03-18", "2024-03-20").success
    after = {name: graph.lake.table("tiny", schema).version() for name, schema in graph.schemas().items()}
    assert after == before
    for name in (*TABLES, FACTOR_REPORT):
        assert graph.events(name)["2024-03-19"].metadata["computed"].value.startswith("no")
        assert graph.events(name)["2024-03-21"].metadata["computed"].value == "yes"


def test_a_leak_in_the_table_stops_whatever_reads_it(graph):
    """Somebody writes each next session's value into a feature: the check is red and the report is not made."""
    first, last = RANGE
    graph.build(first, last)
    table = graph.lake.table("tiny", graph.schemas()["alpha158"])
    rows = table.read().to_pandas()
    rows["KMID"] = rows.groupby("symbol")["KMID"].shift(-1)
    window = Window(parse_session(first), parse_session(last))
    table.replace(pa.Table.from_pandas(rows, table.schema.arrow), window=window, writer=Writer("somebody"))
    done = graph.build(last, last)
    red = {each.check_name for each in done.get_asset_check_evaluations() if not each.passed and each.blocking}
    assert red == {"past_does_not_change"}
    assert not done.success
    made = {event.asset_key for event in done.get_asset_materialization_events()}
    assert key_of(graph.entry, FACTOR_REPORT) not in made


def test_features_depend_on_prices_and_the_sessions_they_look_back_on(graph):
    assets = graph.definitions.resolve_asset_graph()
    for name in TABLES:
        assert assets.get(key_of(graph.entry, name)).parent_keys == {key_of(graph.entry, PRICES)}
    assert reach_mapping(graph.entry, 60).start_offset == -60
    whole = reach_mapping(graph.entry, None).start_offset
    calendar = graph.entry.sessions_calendar
    assert -whole >= len(calendar.sessions(graph.entry.begins, calendar.last_known))


def test_the_graph_can_be_told_to_dagsters_servers(graph):
    """They get it as text, which a name that is an enum's member cannot be."""
    repository = graph.definitions.get_repository_def()
    assert isinstance(repository, RepositoryDefinition)
    assert "alpha158" in serialize_value(RepositorySnap.from_def(repository))
