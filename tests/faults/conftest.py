"""Runs that can be killed, and homes for them."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.faults.materialising import Homes, Materialising, Stage, stage, write_files


@pytest.fixture(scope="module")
def materialising(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Materialising]:
    process = Materialising(tmp_path_factory.mktemp("reports"))
    yield process
    process.close()


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """On SQLite, unless a module says otherwise."""
    return Homes(tmp_path_factory.mktemp("homes"))


@pytest.fixture(scope="module")
def stages(materialising: Materialising, homes: Homes) -> Callable[[str, tuple[str, str]], Stage]:
    """An empty home, or one that holds the first delivery while the source says something else since."""
    empty = homes.empty()
    for number, delivery in enumerate(("first", "second"), start=1):
        write_files(homes.folder / delivery, delivery=number)

    @cache
    def made(delivery: str, sessions: tuple[str, str]) -> Stage:
        prepared = empty
        if delivery == "second":
            prepared = homes.folder / f"{made('first', sessions).name}-control"
        return stage(materialising, homes, prepared, homes.folder / delivery, sessions)

    return made
