"""`qp decision reproduce` and `qp models replay`, as a person types them, on what this code has trained."""

import pytest

from quant_pipelines.cli.reproduction import reproducer_of
from quant_pipelines.code import code_version
from quant_pipelines.registry import pack
from quant_pipelines.reproduction import recorded_replays
from quant_pipelines.settings import Settings
from tests.commands import Commands
from tests.places import LINE, TREES, Place
from tests.stored import migrated

MARKETS = """
markets:
  tiny:
    description: A tiny market.
    calendar: XSHG
    currency: CNY
    first_session: 2023-01-03
    source: {kind: synthetic}
    missing_bar: suspended
    rules: a_share
"""


class Installed(Place):
    """Trades where the commands do: by the listings of the market's own source."""

    def exchange(self):
        return reproducer_of(Settings(), self.scene.market, None, lambda _: None).exchange


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    home = tmp_path_factory.mktemp("reproduced")
    (home / "markets.yaml").write_text(MARKETS)
    return Installed(home, migrated(tmp_path_factory.mktemp("migrated")))


@pytest.fixture
def qp(place, monkeypatch, request):
    place.name = request.node.name.removeprefix("test_")[:40]
    return Commands(place.folder, monkeypatch)


def test_a_decision_comes_out_again_row_by_row(qp, place):
    """By other code than the version's, so within the tolerance, unless told otherwise."""
    champion = place.trained(at=-20, model=LINE)
    decision = place.decided(place.trained(model=TREES), champion)
    text = qp.answer("decision", "reproduce", decision.id[:8])
    for told in (
        "The data", "The rule, asked again", "The training", "The holdout, read again", "candidate f1", "bytes of",
        "equal within a share of 1e-06", f"the code is {code_version()}, recorded was test", "comes out the same",
    ):  # fmt: skip
        assert told in text, told
    assert "candidate f1 low" not in text
    assert "--each shows them" in text
    assert "candidate f1 low" in qp.answer("decision", "reproduce", decision.id, "--each")
    assert "equal to the bit" in qp.answer("decision", "reproduce", decision.id, "--tolerance", "0")
    qp.narrow("decision", "reproduce", decision.id)


def test_a_flipped_byte_is_named_and_sets_the_exit_code(qp, place):
    decision = place.decided(place.trained(model=LINE, at=-2))
    document = place.scene.store.document(decision.evidence.snapshot_id)
    path = place.scene.store.blob(document.outcome.array("value").blob)
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    try:
        text, error = qp("decision", "reproduce", decision.id)
    finally:
        path.write_bytes(before)
    assert error.code == "QP141"
    assert "did not come out the same" in str(error)
    assert "file of array value" in text
    assert "Not checked: Nothing was trained" in text


def test_a_replay_compares_measures_and_names_the_version_that_was_replayed(qp, place):
    """S1-30, S1-31, S1-39."""
    old, new = place.trained(model=TREES, at=-3), place.trained(model=TREES)
    place.home.models.alias(old.model, "champion", old.number)
    assert f"{new.name} comes out again" in qp.answer("models", "replay", new.model, "--actor", "ann")
    text = qp.answer("models", "replay", new.model, "champion", "--actor", "ann")
    assert f"{old.name} comes out again" in text
    assert "validation_mse" in text
    kept = recorded_replays(place.home.journal, new.model)
    assert [(row.actor, each.version, each.version_id) for row, each in kept] == [
        ("ann", each.name, each.id) for each in (new, old)
    ]
    qp.narrow("models", "replay", new.model, "--actor", "ann")


def test_a_replay_of_what_was_measured_otherwise_sets_the_exit_code_and_goes_on_record(qp, place):
    version = place.trained(model=TREES)
    packed = place.home.models.load(version.model, version.number)
    metrics = {**packed.manifest.metrics, "train_ic": 0.5}
    forged = packed.manifest.model_copy(update={"metrics": metrics, "training_id": "forged"})
    run = place.home.trainer().tracker.start("tiny", place.name).id
    kept = place.home.models.save(pack(forged, packed.files), run, actor="a forger")
    error = qp("models", "replay", kept.model, str(kept.number), "--actor", "ann")[1]
    assert error.code == "QP144"
    assert "training id, train_ic differ" in str(error)
    assert [each.outcome for _, each in recorded_replays(place.home.journal, kept.model)] == ["different"]


def test_models_that_are_not_there_are_told(qp):
    assert qp("models", "replay", "tiny.nobody", "--actor", "ann")[1].code == "QP170"
