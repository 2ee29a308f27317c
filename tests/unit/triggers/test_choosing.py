"""Several triggers, one run: which one counts, and what it starts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipelines.strategies import Retrain
from quant_pipelines.triggers import Trigger, chosen, what_starts

SUBSETS = st.permutations(list(Trigger)).flatmap(lambda order: st.integers(0, 4).map(lambda count: order[:count]))
FULL = {"do_cv_tune": True, "do_shap": True, "do_plot": True, "do_post_training_validation": True}


@st.composite
def policies(draw):
    modes = {name: draw(st.sampled_from(["off", "full"])) for name in ("monthly", "quarterly", "performance_decay")}
    return Retrain(weekly=draw(st.sampled_from(["off", "incremental", "full"])), **modes)


@settings(max_examples=300)
@given(true=SUBSETS)
def test_whatever_is_true_in_whatever_order_one_run_of_the_highest_priority_starts(true):
    """S2-105, S3-53.

    Feature: mlops-optimization, Property 10: scheduling decisions follow the predefined priority and resource rules.
    """
    found = chosen(true, Retrain())
    if not true:
        assert found is None
        return
    order = ["monthly", "quarterly", "performance_decay", "weekly"]
    strongest = min(true, key=order.index)
    both = {"monthly", "quarterly"} <= set(true)
    assert found == ("quarterly" if both else strongest)
    started = [what_starts(each, Retrain()) for each in true]
    assert what_starts(found, Retrain()).priority == max(each.priority for each in started)
    assert chosen(true[::-1], Retrain()) is found


@settings(max_examples=200)
@given(true=SUBSETS, retrain=policies())
def test_what_the_policy_switches_off_starts_nothing_and_hides_nothing_weaker(true, retrain):
    able = [each for each in true if getattr(retrain, each) != "off"]
    found = chosen(true, retrain)
    assert found == chosen(able, Retrain())
    if found is not None:
        assert what_starts(found, retrain).mode == getattr(retrain, found)


def test_a_weekly_run_learns_from_six_months_and_tunes_nothing():
    """S3-49, S3-56."""
    started = what_starts(Trigger.WEEKLY, Retrain())
    assert (started.mode, started.window_months) == ("incremental", 6)
    assert (started.do_cv_tune, started.do_shap, started.do_plot) == (False, False, True)
    assert what_starts(Trigger.WEEKLY, Retrain(weekly="full", weekly_months=9)).window_months == 9
    assert what_starts(Trigger.WEEKLY, Retrain(weekly="off")) is None


def test_full_runs_do_everything_and_really_cross_validate():
    """S3-50, S3-51, S3-52, S3-57, X-15."""
    for trigger in (Trigger.MONTHLY, Trigger.QUARTERLY, Trigger.PERFORMANCE_DECAY):
        started = what_starts(trigger, Retrain())
        assert (started.mode, started.window_months) == ("full", None)
        assert {name: getattr(started, name) for name in FULL} == FULL
        assert started.use_improved_training is False


def test_decay_stands_between_the_ends_of_months_and_of_weeks():
    """S3-49..S3-52: high, medium, lowest."""
    priorities = {each: what_starts(each, Retrain()).priority for each in Trigger}
    assert priorities["monthly"] == priorities["quarterly"] > priorities["performance_decay"] > 0 > priorities["weekly"]
