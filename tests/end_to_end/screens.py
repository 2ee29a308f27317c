"""What the tests of the UI do in a browser."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

# A page may be slow on a busy machine; how slow it may be is what the benchmark asks.
PATIENCE_MS = 60_000
SCREENS = Path(__file__).parents[2] / "var" / "screens"


def keep(page: Page, name: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(700)  # let animations end, or the picture is half drawn
    page.screenshot(path=SCREENS / f"{name}.png")


def see(page: Page, *texts: str) -> None:
    for text in texts:
        expect(page.get_by_text(re.compile(text)).first).to_be_visible(timeout=PATIENCE_MS)
