"""A published market to freeze snapshots of and to train on."""

import pytest

from quant_pipelines.snapshots import SnapshotArrays, load
from tests.unit.snapshots.conftest import Scene, strategy


@pytest.fixture(scope="session")
def market_scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("trained"), symbols=8).publish()


@pytest.fixture(scope="session")
def frozen(market_scene):
    """Makes a strategy and the arrays of its newest snapshot."""

    def freeze(**changes) -> tuple[object, SnapshotArrays]:
        chosen = strategy(**{"training": {"window": {"sessions": 150}}, **changes})
        built = market_scene.builder().build(chosen, market_scene.sessions[-1])
        return chosen, load(market_scene.store, built.document)

    return freeze
