"""`qp decision`, as a person types it: what was decided, why, and what a bar has led to."""

import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.deployment import decide, record
from quant_pipelines.lake import Lake, Window
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.lineage import Node, NodeKind, Parent, Read, held_in, open_lineage
from quant_pipelines.settings import Settings
from quant_pipelines.strategies import Deployment
from tests.commands import Commands
from tests.installation import synthetic_market
from tests.judged import evidence, gain, seen
from tests.rollouts import Remembered, Rollouts, day, journal_in
from tests.stored import MODEL

LAST = "2024-01-12"


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    """A home in which a champion was decided for, a candidate begun, and others refused."""
    home = tmp_path_factory.mktemp("decided")
    (home / "markets.yaml").write_text(synthetic_market(first_session="2024-01-02", symbols=3))
    rollouts = Rollouts(journal_in(home), Remembered())
    first = rollouts.deployed("one")[0]
    champion = rollouts.champion()
    second = rollouts.candidate("two", champion=champion)
    rollouts.switch.deploy(second, session=day(1))
    worse = evidence(
        strategy="candles",
        candidate=seen(f"{MODEL}/3", "3" * 64),
        champion=seen(f"{MODEL}/1", "1" * 64),
        gains={"f1": gain(0.01), "balanced_f1": gain(0.0)},
        reads=2,
        trials=7,
    )
    rejected = decide(worse, Deployment())
    lonely = decide(evidence(strategy="lonely", champion=None, gains={}, mse_ratio=None), Deployment())
    other = decide(
        evidence(
            strategy="other", status="insufficient_observation", rows=3, sessions=1,
            candidate=seen("demo.a_strategy_with_a_very_long_name/12", "9" * 64),
        ),
        Deployment(),
    )  # fmt: skip
    for each in (rejected, lonely, other):
        record(rollouts.journal, each, actor="a test")
    return home, rollouts, {"first": first, "second": second, "rejected": rejected, "lonely": lonely, "other": other}


@pytest.fixture
def qp(decided, monkeypatch):
    return Commands(decided[0], monkeypatch)


def test_decisions_are_listed_and_chosen_by_strategy(qp, decided):
    text = qp.answer("decision", "list")
    for each in decided[2].values():
        assert each.id[:8] in text
        assert each.verdict in text
    assert "5 of 5 decisions" in text
    chosen = qp.answer("decision", "list", "--market", "demo", "--strategy", "other")
    assert "insufficient_observation" in chosen
    assert "1 of 1 decisions" in chosen
    assert "2 of 5" in qp.answer("decision", "list", "--last", "2")
    assert "Nothing was decided yet" in qp.answer("decision", "list", "--market", "nowhere")


def test_a_decision_is_shown_with_every_line_number_policy_and_its_row(qp, decided):
    _, rollouts, found = decided
    text = qp.answer("decision", "show", found["rejected"].id[:8])
    row = rollouts.journal.with_key(f"decision:{found['rejected'].id}")
    for line in found["rejected"].lines:
        assert line.name in text
        assert line.needs in text
    for told in (
        found["rejected"].id, found["rejected"].reason, "would have passed with", "other candidates before",
        "trainings begun by then", "a test", f"row {row.sequence}, {row.hash}", "0.97, 1.01", "approver_role",
        "balanced_f1",
    ):  # fmt: skip
        assert told in text, told


def test_an_explanation_names_rule_guards_gates_and_the_nearest_flip(qp, decided):
    text = qp.answer("decision", "explain", decided[2]["rejected"].id[:10])
    for told in (
        "Rejected: nothing changes.",
        "The rule",
        "One of the two is enough.",
        "f1_gain is 0.01, needed was >= 0.05. This failed.",
        "Guards",
        "Gates",
        "sharpe, which needs >= 0.5, was not judged.",
        "neither had seen",
        "judged on these sessions before: 2; trainings of the strategy begun by then: 7",
        "The nearest flip",
        "would have passed with",
    ):
        assert told in text, told
    assert "there was no champion" in qp.answer("decision", "explain", decided[2]["lonely"].id)


@pytest.mark.parametrize("beginning", ["ffffffff", "abc", ""])
def test_ids_that_name_no_decision_are_told(qp, beginning):
    assert qp("decision", "show", beginning)[1].code == "QP157"


@pytest.mark.parametrize("command", ["list", "show", "explain"])
def test_tables_fit_a_narrow_terminal_and_keep_their_names_whole(qp, decided, command):
    rejected = decided[2]["rejected"]
    text = qp.narrow("decision", command, *([] if command == "list" else [rejected.id]))
    whole = {
        "list": (rejected.id[:8], "insufficient_observation", f"{MODEL}/3", "…"),
        "show": ("tripwire_mse_ratio", "not judged", "…"),
        "explain": ("tripwire_mse_ratio",),
    }
    for told in whole[command]:
        assert (told in text) is (told != "…"), told


def test_what_a_bar_led_to_is_traced_to_who_is_live(qp, decided):
    home, _, found = decided
    qp.answer("ingest", "demo", "--from", "2024-01-02", "--to", LAST)
    lake = Lake(str(home / "lake"), clock=SystemClock())
    prices = lake.table("demo", PRICES)
    symbol = prices.read(columns=["symbol"])["symbol"][0].as_py()
    sessions = sorted(prices.session_ids())
    opened = open_lineage(Settings(), clock=SystemClock())
    read = Read(contents=held_in(prices, sessions, prices.session_ids()))
    early = Read(contents=held_in(prices, sessions[:1], prices.session_ids(Window(sessions[0], sessions[0]))))
    for snapshot, reads in (("5" * 64, read), ("6" * 64, early)):
        opened.record(Node(id=snapshot, kind=NodeKind.SNAPSHOT, market="demo", name="candles", reads=(reads,)))
    for number, decision in enumerate((found["first"], found["second"]), 1):
        version = decision.evidence.candidate
        opened.record(
            Node(
                id=version.version_id, kind=NodeKind.MODEL, market="demo", name="candles", facts={"version": number},
                parents=(Parent("5" * 64, "trained_on"),),
            )
        )  # fmt: skip
        opened.record(
            Node(
                id=decision.id, kind=NodeKind.DECISION, market="demo", name="candles",
                facts={"verdict": decision.verdict, "candidate": f"{MODEL}/{number}"},
                parents=(Parent(version.version_id, "judged"),),
            )
        )  # fmt: skip
    text = qp.answer("decision", "impact", "--bar", "demo", symbol, LAST)
    assert text == qp.answer("decision", "impact", "--market", "demo", "--symbol", symbol, "--session", LAST)
    rows = {cells[2]: cells for cells in cells_of(text)}
    assert rows["55555555"][3] == f"{MODEL}/1: champion; {MODEL}/2: shadow"
    assert "66666666" not in rows, "it read another session"
    for role, decision in (("champion", found["first"]), ("shadow", found["second"])):
        assert rows[decision.evidence.candidate.version_id[:8]][3] == role
        assert rows[decision.id[:8]][0::3] == ["decision", role]
    assert "snapshots: 1, models: 2, decisions: 2;" in text
    qp.narrow("decision", "impact", "--bar", "demo", symbol, LAST)


def test_a_bar_must_be_named_in_full_and_be_there(qp):
    assert qp("decision", "impact", "--market", "demo")[1].code == "QP142"
    assert qp("decision", "impact", "--bar", "demo", "NOBODY.SH", LAST)[1].code == "QP190"
    assert qp("decision", "impact", "--bar", "nowhere", "NOBODY.SH", LAST)[1].code == "QP105"


def cells_of(text):
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
