"""The governed graph, for whoever wants to run it. Imported only then: Dagster takes a second."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def governed(tmp_path: Path, governed_market: Path) -> Iterator[Any]:
    import dagster as dg

    from tests.governed import Graph

    shutil.copytree(governed_market, tmp_path, dirs_exist_ok=True)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Graph(tmp_path, instance)
