"""A session is asked about once everything is there that a model of the strategy would be trained on."""

import shutil

import pyarrow as pa
import pytest

from quant_pipelines.lake import Lake, Window
from quant_pipelines.lake.schemas import Column, TableSchema
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.triggers import ModelInputs
from tests.unit.snapshots.conftest import CLOCK, LABELS, REGISTRY, SESSIONS, WRITER, Scene, strategy

KEYS = tuple(Column(name, PRICES.arrow.field(name).type, "", nullable=False) for name in ("session", "symbol"))
KMID = strategy(features=["KMID"], label_set="qlib_return")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Real prices and labels. Of the features only that there are some: making them takes seconds."""
    scene = Scene(tmp_path_factory.mktemp("inputs"))
    scene.publish_prices()
    scene.publish_labels()
    for features in REGISTRY.sets:
        schema = TableSchema(features.name, "", ("session", "symbol"), (*KEYS, Column("value", pa.float64(), "")))
        rows = scene.prices.select(["session", "symbol"])
        rows = rows.append_column("value", pa.array([1.0] * rows.num_rows)).cast(schema.arrow)
        scene.lake.table("tiny", schema).replace(rows, window=scene.all, writer=WRITER)
    return scene


@pytest.fixture
def scene(tmp_path, published):
    shutil.copytree(published.folder / "lake", tmp_path / "lake")
    return Scene(tmp_path)


def there(scene, chosen=KMID, window=None):
    return ModelInputs(scene.lake, scene.market, REGISTRY).there(chosen, window or scene.all)


def emptied(scene, name, session):
    table = scene.lake.stored("tiny", name)
    empty = table.schema.arrow.empty_table()
    table.replace(empty, window=Window(session, session), writer=WRITER)


def test_where_everything_is_published_every_session_is_there(published):
    assert there(published) == set(published.sessions)
    window = Window(published.sessions[3], published.sessions[5])
    assert there(published, window=window) == set(published.sessions[3:6])


def test_prices_and_the_strategys_own_features_are_waited_for(scene):
    emptied(scene, PRICES.name, scene.sessions[-1])
    emptied(scene, "alpha158", scene.sessions[-2])
    emptied(scene, "custom_features", scene.sessions[-3])
    missing = set(scene.sessions) - there(scene)
    assert missing == {scene.sessions[-1], scene.sessions[-2]}
    custom = strategy(features=["KMID", "pull_back"], label_set="qlib_return")
    assert scene.sessions[-3] not in there(scene, custom)


def test_the_labels_that_the_session_resolved_are_waited_for(scene):
    """The label of two sessions ago became known with this session's close."""
    emptied(scene, LABELS.name, scene.sessions[SESSIONS - 3])
    assert scene.sessions[-1] not in there(scene)
    assert scene.sessions[-2] in there(scene)
    assert scene.sessions[-1] in there(scene, strategy(features=["KMID"], label_set="direction3"))


def test_where_nothing_was_ever_published_nothing_is_there(tmp_path, published):
    lake = Lake(str(tmp_path), clock=CLOCK)
    assert ModelInputs(lake, published.market, REGISTRY).there(KMID, published.all) == set()
