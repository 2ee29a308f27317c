"""One running installation for every end-to-end test, and one backfill over three years in it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from quant_pipelines.cli.dagster_api import BackfillProgress
from quant_pipelines.cli.servers import mlflow_servers
from tests.end_to_end.screens import PATIENCE_MS
from tests.installation import Installation, installed, serving, synthetic_market

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
FIRST, LAST = "2021-01-04", "2023-12-29"
ASSETS = [["demo", "raw_bars"], ["demo", "prices"]]


@pytest.fixture(scope="package")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    home = tmp_path_factory.mktemp("installation")
    market = synthetic_market(first_session=FIRST, symbols=20)
    with installed(home, market) as ready, serving(ready, mlflow_servers(ready.settings)):
        yield ready


@pytest.fixture(scope="package")
def backfill(installation: Installation) -> tuple[str, BackfillProgress]:
    """Its id, and how it ended."""
    backfill_id = installation.api.launch_backfill(ASSETS, first=FIRST, last=LAST, title="three years")
    return backfill_id, installation.api.follow_backfill(backfill_id, tell=print)


@pytest.fixture(scope="module")
def page(chromium_path: str) -> Iterator[Page]:
    """No longer than a module: its event loop would be in the way of every test that needs one of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()
