"""Property 2: however a training goes, its start, its way and its end are told and on record."""

import itertools
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipelines.training import Progress, Stage, order_for
from quant_pipelines.training.ledger import BEGAN, ENDED
from quant_pipelines.training.progress import PERCENT
from tests.homes import Home
from tests.stored import migrated

ROUNDS = 6
QUICK = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": ROUNDS, "num_leaves": 3}}
STATUS = {Stage.COMPLETED: "FINISHED", Stage.FAILED: "FAILED", Stage.STOPPED: "KILLED"}
# What comes in the way: from a person, from Dagster, from a library, from a bug.
ENDS = {
    None: Stage.COMPLETED,
    "asked to stop": Stage.STOPPED,
    KeyboardInterrupt: Stage.STOPPED,
    SystemExit: Stage.STOPPED,
    MemoryError: Stage.FAILED,
    ValueError: Stage.FAILED,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One home for all examples: ever more trainings, none of which may be mixed up."""
    folder = tmp_path_factory.mktemp("stages")
    return Home(folder / "home", migrated(folder))


@pytest.fixture(scope="module")
def given_snapshot(frozen):
    return frozen(model=QUICK, label_set="qlib_return")


SEEDS = itertools.count()


@settings(max_examples=100, deadline=None)
@given(what=st.sampled_from(list(ENDS)), at=st.integers(1, ROUNDS))
def test_every_key_stage_of_any_training_is_recorded_and_notified(place, given_snapshot, what, at):
    """S2-97. Feature: mlops-optimization, Property 2: (req. 2.1, 2.2): every key stage of any training (start,
    progress, completion/failure) is recorded and notified."""
    strategy, arrays = given_snapshot
    order = order_for(strategy, arrays.document, code_version="test", seed=next(SEEDS))
    told: list[Progress] = []

    def listener(progress: Progress) -> None:
        told.append(progress)
        if isinstance(what, type) and progress.step is not None and progress.step.number == at:
            raise what("in the way")

    def stop() -> bool:
        return what == "asked to stop" and told[-1].step is not None and told[-1].step.number == at

    with suppress(BaseException):
        place.trainer(listener=listener, stop=stop).train(order, arrays.document, arrays)

    end = ENDS[what]
    stages = [each.stage for each in told if each.step is None]
    steps = [each.step.number for each in told if each.step is not None]
    reached = ROUNDS if end is Stage.COMPLETED else at
    assert stages[:3] == [Stage.PREPARING, Stage.CONFIGURING, Stage.TRAINING]
    assert [each for each in stages if each in STATUS] == [end] == stages[-1:], "one end, and nothing after it"
    assert steps == list(range(1, reached + 1))
    percents = [each.percent for each in told]
    assert percents == sorted(percents)
    assert (percents[-1] == PERCENT[Stage.COMPLETED]) == (end is Stage.COMPLETED)
    assert {each.model_id for each in told} == {order.training_id}

    (began,), (ended,) = (
        [row for row in place.journal.rows(kind=kind.name) if kind.of(row).training_id == order.training_id]
        for kind in (BEGAN, ENDED)
    )
    assert (ENDED.of(ended).began, ENDED.of(ended).outcome) == (began.sequence, end.value)
    assert (ENDED.of(ended).reason is None) == (end is Stage.COMPLETED)

    client = place.client
    (run,) = client.search_runs(
        [client.get_experiment_by_name("tiny").experiment_id], f"tags.training_id = '{order.training_id}'"
    )
    assert (run.info.status, run.data.tags["stage"]) == (STATUS[end], end.value)
    assert {round(each.value, 6) for each in client.get_metric_history(run.info.run_id, "progress_percent")} >= {
        round(each.percent, 6) for each in told if each.step is not None
    }
