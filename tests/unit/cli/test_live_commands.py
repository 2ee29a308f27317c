"""`qp live`, `qp approve` and `qp rollout`, as a person types them."""

import pytest

from quant_pipelines.deployment import approvers, live_now
from quant_pipelines.registry import open_keys
from quant_pipelines.settings import Settings
from tests.commands import Commands
from tests.installation import PROJECT, synthetic_market
from tests.rollouts import QUICK, Rollouts, day, journal_in, observed
from tests.stored import MODEL, Kept, migrated, place_in

BEFORE = "2024-01-02T15:00:00"
POLICY = QUICK.model_copy(update={"approvals": 2, "approvals_from_stage": 50})
AT_ONCE = QUICK.model_copy(update={"shadow_sessions": 0, "ladder": (100,)})


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return migrated(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
def scene(tmp_path, empty, monkeypatch):
    """A champion since 2024-01-02, a canary on its way, and another candidate in shadow."""
    (tmp_path / "mlflow.db").write_bytes(empty.read_bytes())
    (tmp_path / "markets.yaml").write_text(synthetic_market(first_session="2024-01-02", symbols=3))
    kept = Kept(place_in(tmp_path), keys=open_keys(Settings(project=PROJECT, home=tmp_path)))
    rollouts = Rollouts(journal_in(tmp_path), kept.models)
    rollouts.switch.deploy(rollouts.candidate("one", policy=AT_ONCE, run_id=kept.run()), session=day(0))
    champion = rollouts.champion()
    decisions = {}
    for number, training in enumerate(("two", "three"), 1):
        decisions[training] = rollouts.candidate(training, champion=champion, policy=POLICY, run_id=kept.run())
        rollouts.switch.deploy(decisions[training], session=day(number))
    seen = observed(0.1, 0.1, after=2)
    rollouts.switch.step(MODEL, seen[:1], POLICY, session=day(3))
    rollouts.switch.step(MODEL, seen, POLICY, session=day(4))
    return Commands(tmp_path, monkeypatch), rollouts, decisions


def cells_of(text):
    return [line.split() for line in text.splitlines() if line.startswith(MODEL)]


def test_what_is_live_is_told_with_shares_sessions_and_decisions(scene):
    """S1-02: by the journal."""
    qp, rollouts, _ = scene
    live = live_now(rollouts.journal, MODEL)
    rows = {each[0]: each[1:] for each in cells_of(qp.answer("live"))}
    assert rows[f"{MODEL}/1"][:4] == ["champion", "90", "%", "2024-01-02"]
    assert rows[f"{MODEL}/{live.canary.version.number}"][:4] == ["canary", "10", "%", "2024-01-06"]
    assert rows[f"{MODEL}/{live.canary.version.number}"][4] == live.canary.decision[:8]
    (shadow,) = live.shadows
    assert rows[f"{MODEL}/{shadow.version.number}"][:2] == ["shadow", "nobody"]
    assert qp.answer("live", "--market", "demo") == qp.answer("live")
    assert "Nothing is live now." in qp.answer("live", "--market", "crypto")
    assert cells_of(qp.narrow("live")) == cells_of(qp.answer("live"))


def test_what_was_live_at_a_moment_a_date_or_the_close_of_a_session(scene):
    qp, rollouts, _ = scene
    assert "Nothing was live at 2024-01-02 15:00:00 UTC." in qp.answer("live", "--at", BEFORE)
    assert "Nothing was live at 2024-01-01 23:59:59 UTC." in qp.answer("live", "--at", "2024-01-01")
    everything = cells_of(qp.answer("live"))
    assert cells_of(qp.answer("live", "--at", "2024-01-02")) == everything, "a date means all of that day"
    began = next(iter(rollouts.journal.rows(kind="rollout"))).recorded_at
    alone = cells_of(qp.answer("live", "--at", began.isoformat()))
    assert [each[:3] for each in alone] == [[f"{MODEL}/1", "champion", "everybody"]]
    assert cells_of(qp.answer("live", "--at", "2024-01-03T07:59:59+08:00")) == everything, "other zones are understood"
    then = cells_of(qp.answer("live", "--session", "2024-01-03"))
    assert [each[:2] for each in then] == [[f"{MODEL}/1", "champion"], [f"{MODEL}/2", "shadow"]]


def test_moments_that_are_none_are_told(scene):
    qp, _, _ = scene
    assert qp("live", "--at", "yesterday")[1].code == "QP143"
    assert qp("live", "--at", "2024-01-03", "--session", "2024-01-03")[1].code == "QP143"


def test_people_approve_each_in_their_role_and_once(scene):
    qp, rollouts, decisions = scene
    chosen = decisions["two"].id
    assert "approved by ann; 2 must agree" in qp.answer("approve", chosen[:8], "--as", "Ann", "--role", "approver")
    told = qp.answer("approve", chosen, "--as", "Bob", "--role", "approver")
    assert "approved by ann, bob; 2 must agree" in told
    assert told == qp.answer("approve", chosen, "--as", "bob", "--role", "approver")
    assert approvers(rollouts.journal, MODEL, chosen, role="approver") == ("ann", "bob")
    assert qp("approve", chosen, "--as", "Eve", "--role", "intern")[1].code == "QP151"
    assert qp("approve", "0" * 8, "--as", "Ann", "--role", "approver")[1].code == "QP157"


def test_a_rollout_is_shown_move_by_move_with_what_was_not_done(scene):
    """S1-03."""
    qp, _, _ = scene
    text = qp.answer("rollout", "show", MODEL)
    for told in (
        "begin: version 1 at 100 %", "begin: version 2 at 0 %", "soaking", "1 of 2 sessions have gone by",
        "to 10 %", "went by without a failed window: 2; needed: 2", "a test", "canary, 10 %",
    ):  # fmt: skip
        assert told in text, told
    assert "never had a rollout" in qp.answer("rollout", "show", "demo.nobody")
    qp.narrow("rollout", "show", MODEL)


def test_a_rollback_by_hand_goes_on_record_with_who_and_why(scene):
    """S1-43."""
    qp, rollouts, _ = scene
    going = live_now(rollouts.journal, MODEL).canary.version.number
    why = ("--why", "it looked odd", "--actor", "ann")
    text = qp.answer("rollout", "back", MODEL, "--session", "2024-01-08", *why)
    assert f"{MODEL}/{going} was taken away" in text
    assert live_now(rollouts.journal, MODEL).canary is None
    shown = qp.answer("rollout", "show", MODEL)
    assert f"roll back: version {going} goes, version 1 serves" in shown
    assert "it looked odd" in shown
    assert "ann" in shown
    assert rollouts.states()[going] == "rolled_back"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((MODEL, "--session", "2024-01-08", "--why", " "), "QP140"),
        ((MODEL, "--session", "2024-01-06", "--why", "a Saturday"), "QP110"),
        ((MODEL, "--session", "2024-01-03", "--why", "too early"), "QP464"),
        (("demo.nobody", "--session", "2024-01-08", "--why", "nothing there"), "QP152"),
        (("nowhere.nobody", "--session", "2024-01-08", "--why", "no market"), "QP105"),
    ],
)
def test_rollbacks_that_cannot_be_change_nothing(scene, arguments, code):
    qp, rollouts, _ = scene
    before = rollouts.journal.head()
    error = qp("rollout", "back", *arguments, "--actor", "ann")[1]
    assert error.code == code
    assert rollouts.journal.head() == before
