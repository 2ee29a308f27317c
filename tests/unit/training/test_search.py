"""Searching hyper-parameters: what is tried, what is judged, what it may cost, and what a kill leaves behind."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quant_pipelines.evaluation import overfitting
from quant_pipelines.journal import FileAnchor, Journal, sqlite_url
from quant_pipelines.models import MODEL_KINDS, BadParameter, Machine, Range, TrainingStopped
from quant_pipelines.training import (
    BadSearch,
    Ledger,
    NothingFound,
    Search,
    Searcher,
    SearchProgress,
    SearchRuns,
    order_for,
    task_of,
)
from quant_pipelines.training.search_folds import folds_of
from quant_pipelines.training.search_overfitting import BLOCKS
from quant_pipelines.training.search_record import SearchDamaged, held_record
from quant_pipelines.training.search_settings import space_of
from tests.seconds import Seconds
from tests.unit.snapshots.conftest import CLOCK

QUICK = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 6, "num_leaves": 7}}
# Every value of it ranks something on these panels.
SAFE = {"num_leaves": Range(low=4, high=12), "learning_rate": Range(low=0.02, high=0.2, log=True)}
IMPUTED = {"kind": "standard", "missing": "centre"}


@pytest.fixture(scope="module")
def ordered(frozen):
    strategy, arrays = frozen(model=QUICK, label_set="qlib_return")
    return order_for(strategy, arrays.document, code_version="test"), arrays


@pytest.fixture(scope="module")
def planted(ordered):
    """Labels that only trees of more than one split can rank."""
    order, arrays = ordered
    inner, body = (arrays.block[arrays.samples, arrays.columns.index(name)] for name in ("KMID", "KLEN"))
    values = np.nan_to_num(inner * np.where(body > np.nanmedian(body), 1, -1)).astype(np.float64)
    return order, replace(arrays, labels=replace(arrays.labels, value=values))


@pytest.fixture(scope="module")
def linear(frozen):
    strategy, arrays = frozen(model={"kind": "linear"}, label_set="qlib_return", normalisation=IMPUTED)
    return order_for(strategy, arrays.document, code_version="test"), arrays


@pytest.fixture
def searcher(tmp_path) -> Searcher:
    journal = Journal(sqlite_url(tmp_path / "journal.db"), FileAnchor(tmp_path / "anchor"), clock=CLOCK)
    return Searcher(folder=tmp_path / "searches", ledger=Ledger(journal, "test"))


def with_parameters(order, **changes):
    return replace(order, settings=replace(order.settings, parameters={**order.settings.parameters, **changes}))


def without_time(result):
    rows = tuple(each.model_copy(update={"seconds": 0}) for each in result.trials)
    return result.model_copy(update={"trials": rows, "seconds": 0})


def test_the_first_trial_is_the_strategys_own_settings(searcher, ordered):
    order, arrays = ordered
    result = searcher.search(order, arrays, Search(trials=3))
    first = result.trials[0]
    assert first.parameters == {name: order.settings.parameters[name] for name in first.parameters}
    assert set(first.parameters) == {each.name for each in MODEL_KINDS["lightgbm"].parameters_known if each.searched}
    assert result.start_value == first.value
    assert result.gain >= 0
    assert result.best_value == max(each.value for each in result.trials if each.state == "completed")


def test_no_more_trials_are_run_than_declared(searcher, ordered):
    order, arrays = ordered
    assert len(searcher.search(order, arrays, Search(trials=2)).trials) == 2
    assert searcher.ledger.count(order.model_name).trials == 2
    assert len(searcher.search(order, arrays, Search(trials=4)).trials) == 4  # the two before are kept
    assert len(searcher.search(order, arrays, Search(trials=4)).trials) == 4
    assert searcher.ledger.count(order.model_name).trials == 4


def test_time_ends_a_search_and_cuts_the_trial_under_way(searcher, ordered):
    """Every look at the clock takes a second: three trials and a part of the next one fit."""
    order, arrays = ordered
    search = Search(seconds=100, pruning=False, space=SAFE)
    result = replace(searcher, seconds=Seconds()).search(order, arrays, search)
    assert [each.state for each in result.trials] == ["completed"] * len(result.trials)
    assert 1 <= len(result.trials) <= 5
    count = searcher.ledger.count(order.model_name)
    assert (count.trials, count.stopped) == (len(result.trials) + 1, 1)
    again = replace(searcher, seconds=Seconds()).search(order, arrays, search)
    assert again.trials == result.trials  # its time is spent
    longer = replace(searcher, seconds=Seconds()).search(order, arrays, replace(search, seconds=200))
    assert longer.trials[: len(result.trials)] == result.trials
    assert len(longer.trials) > len(result.trials)


def test_equal_seeds_try_the_same_and_others_do_not(tmp_path, searcher, linear):
    order, arrays = linear
    found = [
        replace(searcher, folder=tmp_path / name).search(order, arrays, Search(trials=4, seed=seed))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert without_time(found[0]) == without_time(found[1])
    assert [each.parameters for each in found[0].trials] != [each.parameters for each in found[2].trials]


def test_a_better_setting_is_found(searcher, planted):
    """One split cannot tell what was planted; the strategy begins with that, the search may leave it."""
    order, arrays = planted
    poor = with_parameters(order, num_leaves=2)
    space = {"num_leaves": Range(low=2, high=32), "min_child_samples": Range(low=15, high=25)}
    result = searcher.search(poor, arrays, Search(trials=12, space=space, pruning=False))
    assert result.best_parameters["num_leaves"] > 2
    assert result.gain > 0.05
    assert max(result.importance, key=lambda name: result.importance[name]) == "num_leaves"
    assert result.deflation.trials == result.deflation.completed == 12
    assert result.deflation.variance == pytest.approx(np.var([each.value for each in result.trials], ddof=1))


def test_how_far_the_choice_is_luck_is_told_from_the_sessions_that_were_tested_anyway(searcher, planted):
    order, arrays = planted
    space = {"num_leaves": (2, 3, 16)}
    result = searcher.search(with_parameters(order, num_leaves=2), arrays, Search(trials=8, space=space, pruning=False))
    series = np.array([each.by_session for each in result.trials], np.float64).T
    length = -(-len(series) // result.folds)
    for row, column in zip(result.trials, series.T, strict=True):
        folds = [column[place * length : (place + 1) * length] for place in range(result.folds)]
        assert [np.nanmean(each) for each in folds] == pytest.approx(row.values), "values are means over sessions"
    ranked = series[np.isfinite(series).all(axis=1)]
    found = result.overfitting
    assert (found.trials, found.sessions) == (8, len(ranked))
    assert found.probability == overfitting(ranked, blocks=BLOCKS, by="mean")
    assert found.probability < 0.2, "what was planted is found again in the other half"
    assert "50% is blind choice" in found.words


def test_over_the_paths_of_combinatorial_folds_it_is_the_mean_of_each(searcher, planted):
    order, arrays = planted
    search = Search(
        trials=4, folds=4, scheme="combinatorial", space={"num_leaves": (2, 3, 16)}, pruning=False
    )  # fmt: skip
    result = searcher.search(with_parameters(order, num_leaves=2), arrays, search)
    assert result.folds == 6
    paths = folds_of(arrays, order.settings, order.strategy.training, search).paths
    series = np.array([each.by_session for each in result.trials], np.float64).T
    each = [series[path] for path in paths]
    ranked = [path[np.isfinite(path).all(axis=1)] for path in each]
    expected = [overfitting(path, blocks=BLOCKS, by="mean") for path in ranked]
    assert result.overfitting.paths == 3
    assert result.overfitting.probability == pytest.approx(np.mean(expected))
    assert "On each of 3 paths" in result.overfitting.words


@pytest.mark.parametrize("together", [0, 4, 5])
def test_combinatorial_folds_that_leave_nothing_to_learn_from_are_refused(together):
    with pytest.raises(BadSearch, match="of 4 folds it is 1 to 3"):
        Search(trials=1, folds=4, scheme="combinatorial", tested_together=together)


def test_what_is_no_mean_over_sessions_or_has_one_trial_says_why_it_is_not_known(searcher, linear):
    for search, told in ((Search(trials=2, objective="mse"), "mse is no mean"), (Search(trials=1), "1 trials tested")):
        found = searcher.search(*linear, search).overfitting
        assert found.probability is None
        assert f"Not known: {told}" in found.words


def test_the_holdout_is_not_looked_at(tmp_path, searcher, ordered):
    order, arrays = ordered
    spoiled = arrays.labels.value.copy()
    spoiled[arrays.part("holdout")] = np.nan
    assert arrays.part("holdout").size > 0
    without = replace(arrays, labels=replace(arrays.labels, value=spoiled))
    found = [
        replace(searcher, folder=tmp_path / name).search(order, each, Search(trials=2))
        for name, each in (("whole", arrays), ("spoiled", without))
    ]
    assert without_time(found[0]) == without_time(found[1])


def test_a_trial_that_fails_counts_and_the_search_goes_on(searcher, frozen):
    """Half of the rates forbid every split, so that all forecasts are the same and nothing is ranked."""
    strategy, arrays = frozen(model=QUICK, label_set="qlib_return")
    order = order_for(strategy, arrays.document, code_version="test")
    result = searcher.search(order, arrays, Search(trials=6, space={"min_child_samples": (20, 100_000)}))
    states = [each.state for each in result.trials]
    assert "failed" in states
    assert "completed" in states[states.index("failed") :]
    failed = next(each for each in result.trials if each.state == "failed")
    assert "forecasts of each session are all the same" in failed.reason
    count = searcher.ledger.count(order.model_name)
    assert (count.trials, count.failed, count.without_end) == (6, states.count("failed"), 0)


def test_where_every_trial_fails_the_first_reason_is_told(searcher, frozen):
    strategy, arrays = frozen(model={"kind": "linear"}, label_set="qlib_return")
    order = order_for(strategy, arrays.document, code_version="test")
    with pytest.raises(NothingFound, match="missing: centre"):
        searcher.search(order, arrays, Search(trials=2))


def test_what_is_worse_than_the_median_is_given_up(searcher, planted):
    order, arrays = planted
    result = searcher.search(order, arrays, Search(trials=14, space={"num_leaves": (2, 3, 5, 7, 12)}))
    pruned = [each for each in result.trials if each.state == "pruned"]
    assert pruned
    assert all(
        len(each.values) < 3 and each.value is None and "worse than the median" in each.reason for each in pruned
    )
    assert result.best_number not in {each.number for each in pruned}
    assert searcher.ledger.count(order.model_name).stopped == len(pruned)


def test_trials_side_by_side_are_worth_what_they_are_worth_alone(tmp_path, searcher, ordered):
    order, arrays = ordered
    together = searcher.search(order, arrays, Search(trials=6, workers=3, pruning=False))
    assert sorted(each.number for each in together.trials) == list(range(6))
    alone = Search(trials=2, pruning=False, space={name: (value,) for name, value in together.best_parameters.items()})
    best = with_parameters(order, **together.best_parameters)
    assert replace(searcher, folder=tmp_path / "x").search(best, arrays, alone).start_value == together.best_value


def test_kinds_with_state_of_their_process_are_not_run_side_by_side(searcher, frozen):
    strategy, arrays = frozen(model={"kind": "mlp"}, normalisation=IMPUTED)
    order = order_for(strategy, arrays.document, code_version="test")
    with pytest.raises(BadSearch, match="Use one worker"):
        searcher.search(order, arrays, Search(trials=2, workers=2))


def test_a_stop_ends_the_search_and_it_goes_on_when_started_again(searcher, ordered):
    order, arrays = ordered
    heard: list[SearchProgress] = []
    stopping = replace(searcher, listener=heard.append, stop=lambda: len(heard) > 6)
    with pytest.raises(TrainingStopped, match="goes on when started again"):
        stopping.search(order, arrays, Search(trials=4))
    assert heard[-1].state == "cut"
    result = searcher.search(order, arrays, Search(trials=4))
    assert [each.number for each in result.trials] == [0, 1, 2, 3]
    assert all(each.state != "cut" for each in result.trials)


def test_every_trial_is_told_and_logged(searcher, ordered):
    order, arrays = ordered
    heard: list[SearchProgress] = []
    kept: list[tuple] = []

    class Kept:
        def begin(self, number, parameters):
            kept.append(("begin", number))

        def end(self, number, value, state, metrics):
            kept.append(("end", number, value, state, set(metrics)))

    result = replace(searcher, listener=heard.append, log=Kept()).search(order, arrays, Search(trials=2))
    assert [each.state for each in heard] == ["begun", "tested", "tested", "tested", "completed"] * 2
    assert heard[-1].best == result.best_value
    assert heard[-1].message.startswith("Trial 2 of 2 completed: ic ")
    names = {"ic", "fold_1_ic", "fold_2_ic", "fold_3_ic"}
    assert kept[1] == ("end", 0, result.start_value, "completed", names)
    assert [each[:2] for each in kept] == [("begin", 0), ("end", 0), ("begin", 1), ("end", 1)]


_KILLED = """
import json, os, signal, sys
from pathlib import Path
from quant_pipelines.journal import FileAnchor, Journal, sqlite_url
from quant_pipelines.lake.storage import LocalStore
from quant_pipelines.models import Range
from quant_pipelines.snapshots import SnapshotStore, load
from quant_pipelines.strategies import Strategy
from quant_pipelines.training import Ledger, Search, Searcher, order_for
from tests.unit.snapshots.conftest import CLOCK

home, snapshots, document, strategy = sys.argv[1:]
store = SnapshotStore(LocalStore(Path(snapshots)), threads=1)
arrays = load(store, store.document(document))
order = order_for(Strategy.model_validate(json.loads(strategy)), arrays.document, code_version="test")
journal = Journal(sqlite_url(Path(home) / "journal.db"), FileAnchor(Path(home) / "anchor"), clock=CLOCK)
told = []

def listener(progress):
    told.append(progress)
    if len(told) == 8:
        assert progress.state == "tested" and progress.number == 1
        os.kill(os.getpid(), signal.SIGKILL)

Searcher(folder=Path(home) / "searches", ledger=Ledger(journal, "test"), listener=listener).search(
    order, arrays, Search(trials=4, space={"num_leaves": Range(low=4, high=12)})
)
"""


def test_a_killed_search_goes_on_as_if_it_had_not_been_killed(tmp_path, searcher, ordered, market_scene):
    order, arrays = ordered
    folder = market_scene.folder / "snapshots"
    written = json.dumps(order.strategy.model_dump(mode="json"))
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", _KILLED, str(tmp_path), str(folder), arrays.document.id, written]
    assert subprocess.run(command, cwd=root, check=False).returncode == -9
    count = searcher.ledger.count(order.model_name)
    assert (count.trials, count.completed, count.without_end) == (2, 1, 1)
    search = Search(trials=4, space={"num_leaves": Range(low=4, high=12)})
    resumed = searcher.search(order, arrays, search)
    count = searcher.ledger.count(order.model_name)
    assert (count.trials, count.failed, count.without_end) == (5, 1, 0)
    assert [each.number for each in resumed.trials] == [0, 1, 2, 3]
    undisturbed = replace(searcher, folder=tmp_path / "other").search(order, arrays, search)
    assert without_time(resumed) == without_time(undisturbed)


def test_one_process_at_a_time_works_on_a_search(tmp_path):
    with (
        held_record(tmp_path, "study"),
        pytest.raises(SearchRuns, match="another process"),
        held_record(tmp_path, "study"),
    ):
        pass


def test_a_line_that_was_cut_short_is_dropped_and_one_that_is_none_is_refused(tmp_path):
    with held_record(tmp_path, "study") as record:
        record.began(0, {"a": 1}, 7)
    path = tmp_path / "study.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    with held_record(tmp_path, "study") as record:
        assert record.parameters == {0: {"a": 1}}
        assert record.to_repeat == [0]
        record.began(1, {"a": 2}, 8)
    path.write_bytes(path.read_bytes() + b"{}\n")
    with pytest.raises(SearchDamaged, match="Line 3"), held_record(tmp_path, "study"):
        pass


def test_another_question_is_another_search(searcher, linear):
    order, arrays = linear
    studies = {
        searcher.search(each, arrays, search).study
        for each, search in (
            (order, Search(trials=1)),
            (order, Search(trials=1, folds=2)),
            (order, Search(trials=1, seed=1)),
            (order, Search(trials=1, objective="mse")),
            (order, Search(trials=1, space={"alpha": (1e-5, 1.0)})),
            (replace(order, seed=1), Search(trials=1)),
            (replace(order, code_version="other"), Search(trials=1)),
        )
    }
    assert len(studies) == 7
    same = replace(order, machine=Machine(threads=2))
    assert searcher.search(same, arrays, Search(trials=2, seconds=1e9)).study in studies


def test_a_loss_is_least_where_it_is_best(searcher, linear):
    order, arrays = linear
    result = searcher.search(order, arrays, Search(trials=4, objective="mse", pruning=False))
    assert result.best_value == min(each.value for each in result.trials)
    assert result.gain >= 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "no budget"),
        ({"trials": 0}, "1 or more"),
        ({"trials": 1, "folds": 1}, "2 or more"),
        ({"seconds": -1}, "0 or more"),
        ({"trials": 1, "workers": 0}, "1 or more"),
    ],
)
def test_a_search_without_end_or_meaning_is_refused(changes, told):
    with pytest.raises(BadSearch, match=told):
        Search(**changes)


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({}, "nothing to search"),
        ({"leafs": (1, 2)}, "no hyper-parameter"),
        ({"num_leaves": (1, 2)}, "whole number >= 2"),
        ({"num_leaves": Range(low=2, high=3.5)}, "whole number"),
        ({"learning_rate": Range(low=0.0, high=0.5)}, "> 0"),
        ({"learning_rate": ()}, "found none"),
        ({"learning_rate": Range(low=0.5, high=0.1)}, "Turn them round"),
        ({"lambda_l1": Range(low=0.1, high=1.0, log=True)}, "no logarithm"),
        ({"objective": Range(low=0, high=1)}, "one of"),
    ],
)
def test_a_space_that_cannot_be_tried_is_refused(space, told):
    spec = MODEL_KINDS["lightgbm"]
    with pytest.raises(BadSearch, match=told):
        space_of(Search(trials=1, space=space), spec, spec.settings(task_of(spec, "qlib_return"), ("a",)))


def test_how_long_a_sequence_is_cannot_be_searched():
    spec = MODEL_KINDS["lstm"]
    with pytest.raises(BadSearch, match="which rows there are"):
        space_of(Search(trials=1, space={"lookback": (10, 20)}), spec, spec.settings(task_of(spec, "dual"), ("a",)))


@pytest.mark.parametrize("spec", MODEL_KINDS.values(), ids=lambda spec: spec.name)
def test_every_kind_has_something_to_search_and_its_defaults_are_among_it(spec):
    start = spec.settings(task_of(spec, spec.needs_label_set or "qlib_return"), ("a",))
    rows = {each.name: each.searched for each in spec.parameters_known if each.searched is not None}
    assert space_of(Search(trials=1), spec, start) == rows != {}


def test_a_measure_that_the_task_does_not_have_is_refused(searcher, linear):
    with pytest.raises(BadSearch, match="log_loss does not measure numbers"):
        searcher.search(*linear, Search(trials=1, objective="log_loss"))


def test_settings_that_no_kind_allows_are_refused_before_anything_is_counted(searcher, linear):
    order, arrays = linear
    with pytest.raises(BadSearch):
        searcher.search(order, arrays, Search(trials=1, space={"alpha": (-1.0,)}))
    assert searcher.ledger.count(order.model_name).begun == 0
    with pytest.raises(BadParameter):
        order_for(order.strategy, arrays.document, code_version="test", chosen={"alpha": -1.0})
