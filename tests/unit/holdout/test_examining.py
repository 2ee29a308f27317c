"""Candidate and champion on rows that neither has seen, from stored versions of a real market."""

import numpy as np
import pytest

from quant_pipelines.holdout import LOOK
from tests.places import LINE, TREES, Place
from tests.stored import migrated


@pytest.fixture(scope="module")
def market_place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("judged"), migrated(tmp_path_factory.mktemp("migrated")))


@pytest.fixture
def place(market_place, request):
    """The market is shared; the strategy, and with it models and looks, is each test's own."""
    market_place.name = request.node.name.removeprefix("test_")[:40]
    return market_place


def test_both_are_judged_on_identical_rows_that_neither_has_seen(place):
    champion, candidate = place.trained(at=-20, model=TREES), place.trained(model=LINE)
    found = place.examiner().examine(candidate, champion)
    evidence = found.evidence
    assert evidence.status == "ok", evidence.reason
    assert evidence.sessions >= 10
    learned = place.scene.store.document(place.home.models.load(champion.model, champion.number).manifest.snapshot_id)
    assert evidence.first_session > learned.outcome.split.validation.last
    assert evidence.candidate.version == candidate.name
    assert evidence.champion.version == champion.name
    assert set(evidence.data) == {"candidate", "champion", "prices"}
    for seen in (evidence.candidate, evidence.champion):
        assert {"f1", "mse", "ic", "sharpe", "max_drawdown", "reject_rate"} <= set(seen.measures)
    assert {"f1", "ic"} <= set(evidence.gains)
    assert evidence.mse_ratio.value > 0
    assert evidence.trials == 2


def test_a_model_against_itself_gains_nothing(place):
    version = place.trained(model=TREES)
    evidence = place.examiner().examine(version, version).evidence
    assert evidence.status == "ok", evidence.reason
    assert evidence.candidate.measures == evidence.champion.measures
    assert all(gain.value == 0 for gain in evidence.gains.values())
    assert evidence.mse_ratio.value == 1


def test_asked_again_the_evidence_is_the_same_but_for_the_count_of_looks(place):
    version = place.trained(model=TREES)
    first, again = (place.examiner().examine(version, None) for _ in range(2))
    assert first.evidence == again.evidence
    assert (first.times_read, again.times_read) == (1, 2)


def test_every_look_is_on_record_before_and_other_candidates_count(place):
    one, other = place.trained(model=TREES), place.trained(model=TREES, seed=1)
    assert place.examiner().examine(one, None).evidence.reads == 0
    assert place.examiner().examine(other, one).evidence.reads == 1
    assert place.examiner().examine(one, None).evidence.reads == 0, "its own chance was the first"
    looks = [LOOK.of(row) for row in place.home.journal.rows(kind=LOOK.name, subject=one.model)]
    assert [each.champion for each in looks] == [None, one.name, None]


def test_what_the_champion_has_learned_from_is_no_comparison(place):
    """X-18. The champion is newer than the candidate: of its holdout only the end is left, or nothing."""
    champion, candidate = place.trained(model=TREES), place.trained(at=-30, model=LINE)
    evidence = place.examiner().examine(candidate, champion).evidence
    learned = place.scene.store.document(place.home.models.load(champion.model, champion.number).manifest.snapshot_id)
    own = place.scene.store.document(evidence.snapshot_id).outcome.split
    assert evidence.status == "ok"
    assert own.holdout.first < learned.outcome.split.validation.last < evidence.first_session
    assert evidence.last_session == own.holdout.last


def test_without_enough_sessions_that_neither_has_seen_nothing_is_measured(place):
    """X-18."""
    champion, candidate = place.trained(model=TREES), place.trained(at=-50, model=LINE)
    found = place.examiner().examine(candidate, champion)
    assert found.evidence.status == "champion_overlap"
    assert (found.evidence.rows, found.times_read) == (0, 0)
    assert found.evidence.candidate.measures == {}


def test_other_labels_are_another_question(place):
    champion = place.trained(model=TREES, label_set="direction3")
    evidence = place.examiner().examine(place.trained(model=TREES), champion).evidence
    assert evidence.status == "insufficient_observation"
    assert "another question" in evidence.reason


def test_the_account_trades_at_opens_that_were_there_at_prices_of_the_lake(place):
    version = place.trained(model=TREES)
    found = place.examiner().examine(version, None)
    account = found.candidate.account
    assert account.returns.size == found.evidence.sessions
    assert np.isfinite(account.returns).all()
    assert account.gross.sum() >= account.returns.sum()
    assert set(found.benchmarks) == {"buy_and_hold", "momentum", "reversal"}
    assert {each.account.returns.size for each in found.benchmarks.values()} == {account.returns.size}
    assert 0 <= found.evidence.candidate.measures["deflated_sharpe"].value <= 1
