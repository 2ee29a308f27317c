"""What every test may rely on: UTC, quiet libraries, property-test depth, and the two outside services."""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

_WHOLE = Path(__file__).parent / "end_to_end"
# Set before any library is imported, because several read these names only once.
_ENVIRONMENT = {
    "TZ": "UTC",
    "OMP_WAIT_POLICY": "PASSIVE",
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
os.environ.update(_ENVIRONMENT)
time.tzset()

# No deadline and no complaint about slow data: how fast the machine is today is no property of the code. By day the
# same examples every time, so that a change fails for what it changed; the night looks for examples nobody has tried.
for _profile, _examples, _same in (("default", 100, True), ("nightly", 1000, False)):
    settings.register_profile(
        _profile,
        derandomize=_same,
        deadline=None,
        max_examples=_examples,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("default")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what drives a whole installation side by side, so that one worker starts one, not each worker its own."""
    items.sort(key=lambda item: _WHOLE not in item.path.parents)


@pytest.fixture(scope="session")
def new_database() -> Iterator[Callable[..., str]]:
    """Makes a database on the server of QP_TEST_POSTGRES_URL, empty or as the one of a URL; none outlives the tests."""
    server = os.environ.get("QP_TEST_POSTGRES_URL", "")
    if not server:
        _unavailable("QP_TEST_POSTGRES_URL is not set", "postgresql://postgres@127.0.0.1:5432/test")
    names: list[str] = []

    def make(copied_from: str = "") -> str:
        names.append(f"qp_test_{uuid.uuid4().hex}")
        template = copied_from.rpartition("/")[2] or "template1"
        _administer(server, f'CREATE DATABASE "{names[-1]}" TEMPLATE "{template}"')
        return f"{server.rsplit('/', 1)[0]}/{names[-1]}"

    yield make
    for name in names:
        _administer(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def postgres_url(new_database: Callable[..., str]) -> str:
    """One database for the whole session, for tests that can share it. Dagster and MLflow cannot share one."""
    return new_database()


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """The browser of QP_TEST_BROWSER: a path, or a name to look up."""
    wanted = os.environ.get("QP_TEST_BROWSER", "")
    if not wanted:
        _unavailable("QP_TEST_BROWSER is not set", "/usr/bin/chromium")
    found = shutil.which(wanted)
    if found is None:
        _unavailable(f"QP_TEST_BROWSER={wanted} is no program", "/usr/bin/chromium")
    return Path(found)


@pytest.fixture(scope="session")
def governed_market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with everything a strategy is trained on, to be copied. Imported only here: Dagster takes a second."""
    from tests.governed import prepare

    folder = tmp_path_factory.mktemp("governed")
    prepare(folder, tmp_path_factory.mktemp("tables"))
    return folder


def _unavailable(found: str, example: str) -> NoReturn:
    """CI has promised the services, so there a missing one is a failure; a laptop may do without."""
    message = f"{found}. Set it, e.g. to {example}."
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def _administer(server: str, statement: str) -> None:
    import psycopg2

    connection = psycopg2.connect(server, connect_timeout=10)
    try:
        connection.autocommit = True  # CREATE and DROP DATABASE refuse to run in a transaction
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
