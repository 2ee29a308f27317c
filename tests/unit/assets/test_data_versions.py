"""data_versions run by Dagster: what a person sees of the tables."""

from pathlib import Path

import dagster as dg
import pytest

from assets.data_versions import data_version_assets
from assets.keys import DATA_VERSIONS, PRICES, key_of
from assets.prices import price_assets
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Lake, tables
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.sources import SourcesResource
from tests.bars import market

PROJECT = Path(__file__).parents[3]
ENTRY = market(name="tiny", source={"kind": "synthetic", "seed": 7, "symbols": 5, "sectors": 1})


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Materialises prices of a month and then the overview; what the overview's metadata says, and its version."""

    def run(last: str = "2024-01-31"):
        resources = {
            "lake": LakeResource(root=str(tmp_path / "lake"), leases=str(tmp_path / "leases")),
            "lineage": LineageResource(home=str(tmp_path)),
            "sources": SourcesResource(),
        }
        tags = {"dagster/asset_partition_range_start": "2024-01-02", "dagster/asset_partition_range_end": last}
        assert dg.materialize(list(price_assets(ENTRY)), instance=instance, resources=resources, tags=tags).success
        made = dg.materialize(list(data_version_assets(ENTRY)), instance=instance, resources=resources)
        (event,) = made.asset_materializations_for_node(f"tiny__{DATA_VERSIONS}")
        return event.metadata, event.tags["dagster/data_version"]

    monkeypatch.setenv("QP_PROJECT", str(PROJECT))
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield run


def test_every_table_is_told_with_id_range_status_size_and_writer(shown, tmp_path):
    """S2-38, S2-37."""
    metadata, _ = shown()
    current = {record.data["table"]: record.data for record in metadata["current"].value.records}
    assert set(current) == {"raw_bars", "prices"}
    table = Lake(str(tmp_path / "lake"), clock=SystemClock()).table("tiny", tables.PRICES)
    prices = current[PRICES]
    assert table.versions()[0].id.startswith(prices["id"])
    assert (prices["date_range"], prices["sessions"]) == ("2024-01-02 .. 2024-01-31", 22)
    assert (prices["status"], prices["version"], prices["who"]) == ("current", table.version(), "tiny/prices")
    assert {"created_at", "rows", "size_mb", "run"} <= prices.keys()
    statuses = [record.data["status"] for record in metadata["versions"].value.records]
    assert "superseded" in statuses


def test_equal_tables_are_the_same_version_and_others_another(shown):
    _, first = shown()
    _, again = shown()
    _, longer = shown("2024-02-02")
    assert first == again != longer


def test_it_depends_on_every_table_of_its_market():
    (asset,) = data_version_assets(ENTRY)
    names = {key.path[-1] for key in asset.dependency_keys}
    assert names == {"raw_bars", "prices", "indicators", "alpha158", "custom_features", "factor_report", "labels"}
    assert all(type(part) is str for key in asset.dependency_keys for part in key.path)
    assert key_of(ENTRY, PRICES) in asset.dependency_keys
