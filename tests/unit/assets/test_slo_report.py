"""The check on response times, over what earlier scorings have measured."""

from collections.abc import Iterator

import dagster as dg
import pytest

from assets.checks.predictions import prediction_checks
from assets.keys import PREDICTIONS, key_of
from assets.metadata import records
from resources.slo import SloResource
from tests.unit.snapshots.conftest import market, strategy

MARKET = market()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def scored(instance: dg.DagsterInstance, day: int, **served) -> None:
    """A scoring of one version."""
    rows = records([{"version": "tiny.easy/1", **served}])
    instance.report_runless_asset_event(
        dg.AssetMaterialization(key_of(MARKET, PREDICTIONS), partition=f"2024-03-{day:02}", metadata={"served": rows})
    )


def judged(instance: dg.DagsterInstance, **changes) -> dg.AssetCheckResult:
    (check,) = prediction_checks(MARKET, {"easy": strategy()})
    asked = {"p95_ms": 100.0, "least_observations": 3, "sessions": 60, **changes}
    return check(dg.build_asset_check_context(instance=instance), slo=SloResource(**asked))


def test_late_answers_warn_and_the_slowest_are_named(instance):
    """S1-44, S1-17."""
    for day, late in ((1, 40.0), (4, 900.0), (5, 60.0)):
        scored(instance, day, response_ms=late)
    found = judged(instance)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.metadata["status"].value == "violated"
    assert [found.metadata[each].value for each in ("p50_ms", "p95_ms", "p99_ms")] == [60.0, 900.0, 900.0]
    slowest = found.metadata["slowest"].records[0].data
    assert slowest == {"session": "2024-03-04", "version": "tiny.easy/1", "response_ms": 900.0}
    assert judged(instance, p95_ms=900.0).metadata["status"].value == "met"


def test_only_the_last_scorings_count(instance):
    """S1-44."""
    for day, late in ((1, 900.0), (4, 40.0), (5, 60.0), (6, 50.0)):
        scored(instance, day, response_ms=late)
    assert judged(instance).metadata["status"].value == "violated"
    assert judged(instance, sessions=3).metadata["status"].value == "met"


def test_without_enough_measured_answers_the_check_passes_and_says_that_it_cannot_tell(instance):
    """S1-44, X-42."""
    assert judged(instance).metadata["status"].value == "insufficient_observation"
    scored(instance, 1, response_ms=900.0)
    scored(instance, 4, response_ms=900.0)
    scored(instance, 5, symbols=3)
    found = judged(instance)
    assert found.passed
    assert found.metadata["status"].value == "insufficient_observation"
    assert found.metadata["observations"].value == 2
    assert "p95_ms" not in found.metadata
