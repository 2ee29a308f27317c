"""Response times against an objective: percentiles that were observed, a boundary, and too few to say anything."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.monitoring import BadResponseTimes, Objective, slo_report

ASKED = Objective(p95_ms=100, least_observations=20)


def percentile_slowly(times: list[float], percent: int) -> float:
    """The smallest observed time that so many percent of all do not exceed."""
    return min(each for each in times if 100 * sum(other <= each for other in times) >= percent * len(times))


@given(times=st.lists(st.floats(0, 1e6), min_size=20, max_size=80))
def test_percentiles_are_the_nearest_ranks_of_what_was_observed(times):
    """S1-17."""
    found = slo_report(times, ASKED)
    assert [found.p50_ms, found.p95_ms, found.p99_ms] == [percentile_slowly(times, each) for each in (50, 95, 99)]
    assert found.status == ("met" if percentile_slowly(times, 95) <= 100 else "violated")
    assert found.observations == len(times)


@pytest.mark.parametrize(("late", "status"), [(1, "met"), (2, "violated")])
def test_one_late_answer_of_twenty_is_allowed_and_a_second_is_not(late, status):
    """S1-44."""
    assert slo_report([100.0] * (20 - late) + [101.0] * late, ASKED).status == status


@pytest.mark.parametrize("observations", [0, 1, 19])
def test_too_few_answers_say_nothing_however_late_they_are(observations):
    """S1-44, X-42."""
    found = slo_report([1e9] * observations, ASKED)
    assert (found.status, found.observations) == ("insufficient_observation", observations)
    assert (found.p50_ms, found.p95_ms, found.p99_ms) == (None, None, None)


@pytest.mark.parametrize("time", [math.nan, math.inf, -1.0])
def test_a_time_that_cannot_be_is_refused(time):
    with pytest.raises(BadResponseTimes, match="negative or no number"):
        slo_report([1.0] * 30 + [time], ASKED)
