"""labels run by Dagster: what depends on what, what is materialised when, and what a person sees."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.checks.labels import label_checks
from assets.keys import FACTOR_REPORT, LABELS, PRICES, RAW_BARS, key_of
from assets.labels import label_assets
from assets.prices import price_assets
from quant_pipelines import label_tables
from quant_pipelines.calendars import parse_session, session_key
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import EMPTY_SESSION, Lake
from quant_pipelines.markets import Market
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.sources import SourcesResource
from tests.bars import market

PROJECT = Path(__file__).parents[3]
FIRST, LAST = "2024-01-02", "2024-01-31"
ENTRY = market(name="tiny", source={"kind": "synthetic", "seed": 7, "symbols": 5, "sectors": 1})


class Graph:
    """raw_bars, prices and labels of one market, on an instance and a lake of their own."""

    def __init__(self, home: Path, instance: dg.DagsterInstance) -> None:
        self.home, self.instance = home, instance

    def run(
        self, *names: str, first: str = FIRST, last: str = LAST, entry: Market = ENTRY
    ) -> dg.ExecuteInProcessResult:
        wanted = dg.AssetSelection.assets(*(key_of(entry, name) for name in names))
        checked = dg.AssetSelection.checks_for_assets(key_of(entry, LABELS)) if LABELS in names else None
        definitions = dg.Definitions(
            assets=[*price_assets(entry), *label_assets(entry)],
            asset_checks=list(label_checks(entry)),
            jobs=[dg.define_asset_job("chosen", selection=wanted if checked is None else wanted | checked)],
            resources={
                "lake": LakeResource(root=str(self.home / "lake"), leases=str(self.home / "leases")),
                "lineage": LineageResource(home=str(self.home)),
                "sources": SourcesResource(),
            },
            executor=dg.in_process_executor,
        )
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        job = definitions.resolve_job_def("chosen")
        return job.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)

    def materialised(self) -> set[str]:
        return self.instance.get_materialized_partitions(key_of(ENTRY, LABELS))

    def shown(self, partition: str) -> dict:
        """What the newest event of a partition says."""
        wanted = dg.AssetRecordsFilter(asset_key=key_of(ENTRY, LABELS), asset_partitions=[partition])
        (record,) = self.instance.fetch_materializations(wanted, limit=1).records
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    @property
    def ids(self) -> dict[str, str]:
        table = Lake(str(self.home / "lake"), clock=SystemClock()).table("tiny", label_tables.LABELS)
        return {session_key(session): content for session, content in table.session_ids().items()}


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    monkeypatch.setenv("QP_PROJECT", str(PROJECT))
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield Graph(tmp_path, instance)


@pytest.fixture
def whole_graph(monkeypatch: pytest.MonkeyPatch):
    """The project's own, every market of it."""
    monkeypatch.setenv("QP_PROJECT", str(PROJECT))
    from definitions import defs

    return defs.resolve_asset_graph()


def test_labels_depend_on_prices_and_on_nothing_else(whole_graph):
    """S1-70: nothing that a model made, no feature and no report leads to a label, in any market."""
    keys = [key for key in whole_graph.get_all_asset_keys() if key.path[-1] == LABELS]
    assert keys
    for key in keys:
        upstream, fresh = set(), {key}
        while fresh:
            fresh = {parent for each in fresh for parent in whole_graph.get(each).parent_keys} - upstream
            upstream |= fresh
        assert {each.path[-1] for each in upstream} == {PRICES, RAW_BARS}
        assert {each.path[0] for each in upstream} == {key.path[0]}
        assert {each.path[-1] for each in whole_graph.get(key).parent_keys} == {PRICES}


def test_nothing_that_is_known_at_the_close_depends_on_labels(whole_graph):
    """Features and reports of a session must not wait for what comes after it."""
    for key in whole_graph.get_all_asset_keys():
        if key.path[-1] in {PRICES, RAW_BARS, FACTOR_REPORT, "indicators", "alpha158", "custom_features"}:
            assert not {each for each in whole_graph.get(key).parent_keys if each.path[-1] == LABELS}


def test_each_session_is_materialised_with_the_labels_that_have_closed(graph):
    """A row appears when its span has closed: nothing of the last session has, of the one before only one set."""
    assert graph.run(RAW_BARS, PRICES, LABELS).success
    assert graph.materialised() - graph.ids.keys() == {LAST}
    assert graph.shown("2024-01-24")["still_open"] == "none"
    assert graph.shown("2024-01-30")["still_open"] == "dual, qlib_return"
    for partition, content in graph.ids.items():
        assert graph.shown(partition)["data_version"] == content


def test_a_session_of_which_no_label_has_closed_says_so(graph):
    """It ends well: a run or backfill up to today is no failed one."""
    graph.run(RAW_BARS, PRICES)
    assert graph.run(LABELS, first=LAST, last=LAST).success
    shown = graph.shown(LAST)
    assert (shown["computed"], shown["rows"]) == ("no label has closed yet", 0)
    assert shown["still_open"] == "direction3, dual, qlib_return"
    assert (shown["data_version"], graph.ids) == (EMPTY_SESSION, {})


def test_rows_of_other_sets_come_later_and_those_there_stay_bit_by_bit(graph):
    graph.run(RAW_BARS, PRICES, LABELS)
    table = Lake(str(graph.home / "lake"), clock=SystemClock()).table("tiny", label_tables.LABELS)
    rows = {(row["session"], row["symbol"], row["label_set"]): row for row in table.read().to_pylist()}
    graph.run(RAW_BARS, PRICES, LABELS, first="2024-01-24", last="2024-02-07")
    later = {(row["session"], row["symbol"], row["label_set"]): row for row in table.read().to_pylist()}
    assert rows.keys() < later.keys()
    assert {key: row | {"made_from": ""} for key, row in rows.items()} == {
        key: later[key] | {"made_from": ""} for key in rows
    }
    assert graph.shown("2024-01-30")["still_open"] == "none"


def test_the_checks_hold_and_a_person_sees_the_label_sets(graph):
    result = graph.run(RAW_BARS, PRICES, LABELS)
    evaluations = {each.check_name: each.passed for each in result.get_asset_check_evaluations()}
    assert evaluations == {rule.name: True for rule in label_tables.RULES}
    shown = graph.shown("2024-01-10")
    sets = {record.data["label_set"]: record.data for record in shown["by_label_set"].records}
    assert set(sets) == {"direction3", "dual", "qlib_return"}
    assert sets["direction3"]["rows"] > sets["dual"]["rows"] > 0
    shown_rows = [record.data for record in shown["preview"].records]
    assert {row["label_set"] for row in shown_rows} == {"direction3", "dual", "qlib_return"}
    assert {row["session"] for row in shown_rows} == {"2024-01-24"}
    assert shown["positive"].startswith("![share of direction3 labels above zero")


def test_what_labels_were_made_from_is_on_record_down_to_the_bars(graph):
    graph.run(RAW_BARS, PRICES, LABELS)
    lineage = LineageResource(home=str(graph.home)).open()
    found = lineage.dependents("tiny", parse_session("2024-01-31"))
    assert {session_key(each.session) for each in found.contents if each.table == LABELS} == {
        "2024-01-24", "2024-01-29", "2024-01-30",
    }  # fmt: skip
