"""The demo graph in a real browser: what a person sees is there, and a screenshot of it is kept."""

import pytest

from tests.end_to_end.screens import keep, see

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600), pytest.mark.usefixtures("backfill")]


def test_the_lineage_leads_from_raw_bars_to_prices(page, installation):
    page.goto(f"{installation.settings.dagster_address}/locations/quant_pipelines/asset-groups/ingest/lineage")
    see(page, "raw_bars", "prices")
    keep(page, "lineage")


def test_a_materialised_partition_shows_its_numbers_and_its_plot(page, installation):
    page.goto(f"{installation.settings.dagster_address}/assets/demo/prices?view=partitions&partition=2023-06-01")
    see(page, "data_version", "quarantined", "restated", "suspended")
    keep(page, "partition")
    page.get_by_text("Show Markdown").first.click()
    plot = page.locator("img[src^='data:image/svg+xml']").first
    plot.wait_for()
    assert plot.evaluate("image => image.complete && image.naturalWidth > 0")
    keep(page, "plot")


def test_the_checks_tab_lists_the_rules(page, installation):
    page.goto(f"{installation.settings.dagster_address}/assets/demo/raw_bars?view=checks")
    see(page, "conflicting_key", "positive_price", "Held by all")
    keep(page, "checks")


def test_the_schedules_are_listed_and_running(page, installation):
    page.goto(f"{installation.settings.dagster_address}/automation")
    see(page, "refresh_demo_after_close", "follow_data", "sweep_dead_runs", "record_failed_runs")
    keep(page, "automation")


def test_the_columns_are_described(page, installation):
    page.goto(f"{installation.settings.dagster_address}/assets/demo/prices?view=overview")
    see(page, "Checked bars, one per listed symbol and session", "Cumulative adjustment factor")
    keep(page, "columns")
