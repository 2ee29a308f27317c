"""Trained, judged and decided; then all of it once more, untouched, tampered with, forged, and with something gone."""

from contextlib import contextmanager

import pytest

from quant_pipelines.holdout import LOOK
from quant_pipelines.registry import pack
from quant_pipelines.reproduction import (
    REPLAY_TOLERANCE,
    Reproducer,
    Retrainer,
    record_replay,
    recorded_replays,
    replay,
)
from quant_pipelines.snapshots.verifying import Verifier
from quant_pipelines.training import surroundings
from tests.places import LINE, TREES, Place
from tests.stored import migrated
from tests.unit.snapshots.conftest import CLOCK

# A seed that matters: every tree sees other columns.
DRAWN = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 6, "num_leaves": 4, "feature_fraction": 0.3}}


@pytest.fixture(scope="module")
def market_place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("reproduced"), migrated(tmp_path_factory.mktemp("migrated")))


@pytest.fixture
def place(market_place, request):
    """The market is shared; the strategy, and with it models and looks, is each test's own."""
    market_place.name = request.node.name.removeprefix("test_").partition("[")[0][:40]
    return market_place


def retrainer(place, *, code="test", **changes) -> Retrainer:
    return Retrainer(
        snapshots=place.scene.store, here=surroundings(code), clock=CLOCK, listener=lambda _: None, **changes
    )


def reproduced(place, decision, **changes):
    reproducer = Reproducer(
        models=place.home.models,
        retrainer=retrainer(place, **changes),
        verifier=Verifier(lake=place.scene.lake, store=place.scene.store),
        exchange=place.exchange(),
    )
    return reproducer.reproduce(decision)


@contextmanager
def flipped(path):
    """One bit of a file is another one for a while."""
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    try:
        yield
    finally:
        path.write_bytes(before)


def different(found) -> list[str]:
    return [each.name for each in found.checks if each.outcome == "different"]


def test_what_was_trained_judged_and_decided_comes_out_the_same_to_the_bit(place):
    """With a champion, whose forecasts are read again too. Nothing is put on record by it."""
    champion, candidate = place.trained(at=-20, model=TREES), place.trained(model=DRAWN, seed=3)
    decision = place.decided(candidate, champion)
    rows = place.home.journal.head()
    found = reproduced(place, decision)
    assert (found.verdict, found.missing, found.tolerance) == ("same", (), 0.0), different(found)
    assert {each.outcome for each in found.checks} == {"same"}
    assert {each.part for each in found.checks} == {"data", "rule", "training", "holdout", "decision"}
    names = {each.name for each in found.checks}
    assert {
        "snapshot",
        "training id",
        "bytes of booster.txt",
        "candidate sharpe",
        "champion f1 low",
        "verdict",
    } <= names
    assert "mse_ratio luck" in names
    assert place.home.journal.head() == rows, "neither a look nor a trial is put on record"


def test_a_second_candidate_is_reproduced_with_the_looks_that_were_counted_then(place):
    """Looks and trainings that came later are no part of a decision."""
    first, second = place.trained(model=TREES), place.trained(model=TREES, seed=1)
    place.decided(first)
    decision = place.decided(second, first)
    assert decision.evidence.reads == 1
    place.decided(place.trained(model=TREES, seed=2), first)
    assert reproduced(place, decision).verdict == "same"
    assert len(list(place.home.journal.rows(kind=LOOK.name, subject=first.model))) == 3


def test_a_decision_without_enough_to_judge_by_is_reproduced_too(place):
    champion, candidate = place.trained(model=TREES), place.trained(at=-50, model=LINE)
    decision = place.decided(candidate, champion)
    assert decision.verdict == "insufficient_observation"
    assert reproduced(place, decision).verdict == "same"


def test_threads_are_those_of_then(place):
    """They stand in a booster's own text, and may change its bits."""
    decision = place.decided(place.trained(model=TREES, threads=2))
    found = reproduced(place, decision)
    assert (found.verdict, found.tolerance) == ("same", 0.0), different(found)


def test_a_number_on_record_that_was_never_found_is_named(place):
    """Somebody may have judged by other code, or written the evidence by hand."""
    decision = place.decided(place.trained(model=TREES))
    seen = decision.evidence.candidate
    measures = {**seen.measures, "ic": seen.measures["ic"].model_copy(update={"value": 0.1})}
    evidence = decision.evidence.model_copy(update={"candidate": seen.model_copy(update={"measures": measures})})
    found = reproduced(place, decision.model_copy(update={"evidence": evidence}))
    assert found.verdict == "different"
    assert {"candidate ic", "tripwire_ic"} == set(different(found)), "the line on record is that of the true number"


def test_a_flipped_byte_in_an_array_of_the_snapshot_is_named(place):
    decision = place.decided(place.trained(model=LINE, at=-2))
    document = place.scene.store.document(decision.evidence.snapshot_id)
    path = place.scene.store.blob(document.outcome.array("block").blob)
    with flipped(path):
        found = reproduced(place, decision)
    assert found.verdict == "different"
    assert different(found) == ["file of array block"]
    assert "Nothing was trained" in found.missing[-1]
    assert {each.outcome for each in found.checks if each.part == "rule"} == {"same"}, "the rule can still be asked"


@pytest.mark.parametrize("role", ["candidate", "champion"])
def test_a_version_that_was_tampered_with_is_named_and_the_rest_is_still_done(place, role):
    champion, candidate = place.trained(at=-20, model=LINE), place.trained(model=TREES)
    decision = place.decided(candidate, champion)
    kept = {"candidate": candidate, "champion": champion}[role]
    (path,) = (
        each
        for each in place.folder.rglob("booster.txt" if role == "candidate" else "coefficients.safetensors")
        if place.home.models.version(kept.model, kept.number).uri.rpartition("/")[2] in str(each)
    )
    with flipped(path):
        found = reproduced(place, decision)
    assert found.verdict == "incomplete"
    assert f"The {role} {kept.name} cannot be used: QP553" in found.missing[0]
    done = {each.part for each in found.checks}
    assert done == ({"rule", "data"} if role == "candidate" else {"rule", "data", "training"})
    assert different(found) == []


def test_a_champion_that_is_gone_is_named(place):
    champion, candidate = place.trained(at=-20, model=LINE), place.trained(model=TREES)
    decision = place.decided(candidate, champion)
    evidence = decision.evidence
    gone = evidence.model_copy(update={"champion": evidence.champion.model_copy(update={"version_id": "0" * 64})})
    found = reproduced(place, decision.model_copy(update={"evidence": gone}))
    assert found.verdict == "incomplete"
    assert "no version with the content 0000000000000000 any more" in found.missing[0]


def test_a_forged_seed_gives_another_model(place):
    """The store's own key signs it, so only training again can tell."""
    version = place.trained(model=DRAWN)
    packed = place.home.models.load(version.model, version.number)
    forged = packed.manifest.model_copy(update={"seed": 1, "training_id": "forged"})
    run = place.home.trainer().tracker.start("tiny", place.name).id
    kept = place.home.models.save(pack(forged, packed.files), run, actor="a forger")
    decision = place.decided(kept)
    found = reproduced(place, decision)
    assert found.verdict == "different"
    assert {"training id", "bytes of booster.txt"} <= set(different(found))
    assert any(each.part == "holdout" for each in found.checks if each.outcome == "different")


def test_prices_that_were_corrected_since_are_read_as_they_were(place):
    """A correction after the decision is another version of the table."""
    decision = place.decided(place.trained(model=TREES))
    bars = place.scene.bars
    before = bars["open"].copy()
    bars["open"][-3] *= 1.01
    try:
        place.scene.publish_prices()
        seen = decision.evidence
        newest = place.exchange().quotes(seen.first_session, seen.last_session)
        assert newest.data_version != seen.data["prices"]
        assert reproduced(place, decision).verdict == "same"
    finally:
        bars["open"][:] = before
        place.scene.publish_prices()


def test_other_code_is_told_and_numbers_get_a_tolerance(place):
    decision = place.decided(place.trained(model=TREES))
    found = reproduced(place, decision, code="another")
    assert found.differences == ("the code is another, recorded was test",)
    assert (found.tolerance, found.verdict) == (REPLAY_TOLERANCE, "same")
    assert reproduced(place, decision, code="another", tolerance=0.0).tolerance == 0.0


def test_a_replay_names_the_version_that_was_replayed_and_goes_on_record(place):
    """S1-30, S1-31, S1-39."""
    place.trained(model=TREES, at=-3)
    version = place.trained(model=DRAWN, seed=5)
    found = replay(place.home.models, retrainer(place), version)
    packed = place.home.models.load(version.model, version.number)
    assert (found.version, found.version_id, found.outcome) == (version.name, packed.manifest.digest, "same")
    compared = {each.name: (each.recorded, each.found) for each in found.checks}
    assert packed.manifest.metrics.items() <= {name: values[0] for name, values in compared.items()}.items()
    record_replay(place.home.journal, found, actor="test")
    ((row, kept),) = recorded_replays(place.home.journal, version.model)
    assert (kept, row.subject, row.actor) == (found, version.model, "test")


def test_a_replay_of_what_was_measured_otherwise_says_different(place):
    """S1-31."""
    version = place.trained(model=TREES)
    packed = place.home.models.load(version.model, version.number)
    metrics = {**packed.manifest.metrics, "validation_mse": packed.manifest.metrics["validation_mse"] * 1.001}
    forged = packed.manifest.model_copy(update={"metrics": metrics, "training_id": "forged"})
    run = place.home.trainer().tracker.start("tiny", place.name).id
    kept = place.home.models.save(pack(forged, packed.files), run, actor="a forger")
    strict = replay(place.home.models, retrainer(place), kept)
    assert strict.outcome == "different"
    assert {each.name for each in strict.checks if each.outcome == "different"} == {"training id", "validation_mse"}
    loose = replay(place.home.models, retrainer(place, tolerance=0.01), kept)
    assert {each.name: each.outcome for each in loose.checks}["validation_mse"] == "within"
