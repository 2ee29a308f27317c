"""What is live and audits of schedulers over HTTP: the answers, and what is refused with which sentence."""

import json
from copy import deepcopy

import pytest

from quant_pipelines.api.app import AUDIT_LOG, ROLLOUT_STATE
from quant_pipelines.deployment import live_now
from quant_pipelines.strategies import Retrain
from quant_pipelines.triggers import RISK_EVENT, SCHEDULER_AUDIT_LOG, Thresholds, put_on_record, scheduler_audits
from quant_pipelines.triggers.audit import AUDIT
from tests.stored import MODEL
from tests.unit.api.conftest import IDLE, MARKET, STRATEGY, TOKEN

KNOWN = {"Authorization": f"Bearer {TOKEN}"}
SENT = {
    "market": MARKET,
    "strategy": STRATEGY,
    "window": {
        "session": "2024-01-12", "values": 80,
        "recent_first": "2023-12-14", "recent_last": "2024-01-11",
        "historical_first": "2023-09-14", "historical_last": "2023-12-13",
    },
    "thresholds": Thresholds.of(Retrain()).model_dump(),
    "decision": {
        "weekly": True, "monthly": False, "quarterly": False, "performance_decay": True,
        "performance_recent_avg": 0.04, "performance_historical_avg": 0.02, "status": "ok",
        "trigger": "performance_decay", "trigger_reasons": ["performance_decay", "weekly"], "mode": "full",
        "reason": "performance_decay starts the run",
    },
    "sent_by": "night scheduler",
}  # fmt: skip


def changed(*path, to=...):
    """The request with one part another, or left out."""
    made = deepcopy(SENT)
    part = made
    for name in path[:-1]:
        part = part[name]
    if to is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = to
    return made


def state(served, **query):
    return served.client.get(ROLLOUT_STATE, **query)


def send(served, body, headers=KNOWN):
    return served.client.post(AUDIT_LOG, body, **headers)


def refusal(answer, status, code):
    assert (answer.status, answer.json["code"]) == (status, code), answer.text
    assert set(answer.json) == {"code", "error"}
    return answer.json["error"]


def test_the_state_is_what_the_journal_says_in_fractions(rolled):
    """S1-04, S1-05, S1-02, X-13."""
    live = live_now(rolled.journal, MODEL)
    (found,) = state(rolled, strategy=STRATEGY).json["states"]
    assert (found["model"], found["market"], found["strategy"]) == (MODEL, MARKET, STRATEGY)
    assert (found["stage"], found["moves"], found["session"]) == (0.1, live.number, "2024-01-06")
    assert [(each["role"], each["share"]) for each in found["live"]] == [
        ("champion", 0.9),
        ("canary", 0.1),
        ("shadow", 0.0),
    ]
    canary = found["live"][1]
    placed = live.canary
    assert (canary["version"], canary["version_id"]) == (f"{MODEL}/{placed.version.number}", placed.version.id)
    assert (canary["row"], canary["decision"], canary["since"]) == (placed.row, placed.decision, "2024-01-06")


def test_all_strategies_are_told_also_those_of_which_nothing_is_live(rolled):
    """S1-05."""
    found = {each["strategy"]: each for each in state(rolled).json["states"]}
    assert set(found) == {STRATEGY, IDLE}
    assert found[IDLE]["live"] == []
    assert (found[IDLE]["stage"], found[IDLE]["session"]) == (0.0, None)
    assert state(rolled, strategy=MODEL).json["states"] == [found[STRATEGY]]


def test_a_rollout_is_told_as_soon_as_it_has_moved(rolled):
    """S1-05: nothing is kept beside the journal."""
    rolled.rollouts.switch.roll_back(MODEL, session=live_now(rolled.journal, MODEL).session, reason="it looked odd")
    (found,) = state(rolled, strategy=STRATEGY).json["states"]
    assert [(each["role"], each["share"]) for each in found["live"]] == [("champion", 1.0), ("shadow", 0.0)]


def test_an_unknown_strategy_is_told_with_the_known_ones(served):
    told = refusal(state(served, strategy="nobody"), 404, "QP114")
    assert f"{MODEL}" in told
    assert f"{MARKET}.{IDLE}" in told
    assert refusal(state(served, stratgy=STRATEGY), 422, "QP239").startswith("query.stratgy: Extra inputs")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET payload = replace(payload, '\"stage\":10', '\"stage\":30') WHERE kind = 'rollout'",
        "DELETE FROM journal WHERE sequence = (SELECT max(sequence) FROM journal)",
    ],
    ids=["altered", "cut_off"],
)
def test_an_altered_journal_is_never_answered_from(rolled, statement):
    """S1-05: neither a changed row nor a missing last one gives a wrong state."""
    last = rolled.journal.head().sequence
    rolled.tamper(statement)
    told = refusal(state(rolled), 500, "QP581")
    assert f"row {last}" in told
    assert "qp journal verify" in told


def test_an_audit_is_stored_where_the_triggers_store_theirs_with_who_has_sent_it(served):
    """S1-06, S1-01, S1-07."""
    answer = send(served, SENT)
    assert answer.status == 201
    (found,) = scheduler_audits(served.journal, market=MARKET, strategy=STRATEGY, last=10)
    assert (found.row.sequence, found.row.actor) == (answer.json["row"], "api:night scheduler")
    assert answer.json["actor"] == found.row.actor
    assert (found.row.kind, found.row.payload["code"]) == (RISK_EVENT, SCHEDULER_AUDIT_LOG)
    for part in ("window", "thresholds", "decision"):
        assert part in found.row.payload
    assert found.audit.decision.trigger == "performance_decay"
    assert served.journal.verify() == []


def test_what_is_sent_again_is_one_row_and_another_sender_is_another(served):
    rows = [send(served, body).json["row"] for body in (SENT, SENT, changed("sent_by", to="day scheduler"))]
    assert rows == [1, 1, 2]


def test_what_was_sent_is_never_taken_for_an_evaluation_of_ours(served):
    """Otherwise whoever may send could start a training, or keep one from starting."""
    send(served, SENT)
    sent = AUDIT.of(next(served.journal.rows(kind=RISK_EVENT)))
    assert scheduler_audits(served.journal, market=MARKET, strategy=STRATEGY, last=1, ours=True) == []
    quiet = sent.model_copy(update={"decision": sent.decision.model_copy(update={"reason": "ours"})})
    assert put_on_record(served.journal, quiet, actor="sensor").audit == quiet
    (ours,) = scheduler_audits(served.journal, market=MARKET, strategy=STRATEGY, last=5, ours=True)
    assert ours.row.actor == "sensor"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (changed("decision"), "body.decision: Field required"),
        (changed("decision", "status"), "body.decision.status: Field required"),
        (changed("sent_by"), "body.sent_by: Field required"),
        (changed("sent_by", to="  "), "body.sent_by: String should have at least 1"),
        (changed("extra", to=1), "body.extra: Extra inputs are not permitted"),
        (changed("thresholds", "other", to=1), "body.thresholds.other: Extra inputs are not permitted"),
        (changed("code", to="drawdown"), "body.code: Input should be 'scheduler_audit_log'"),
        (changed("window", "session", to="soon"), "body.window.session"),
        (changed("decision", "trigger_reasons", to=["weekly"]), "must name what is true: performance_decay, weekly"),
        (changed("decision", "trigger", to="monthly"), "decision.trigger is monthly, which is not true"),
        (changed("decision", "mode", to=None), "go together"),
        (changed("decision", "performance_recent_avg", to=0.03), "not beyond thresholds.decay_factor"),
        (changed("decision", "status", to="cooldown"), "decision.status is not ok"),
        (changed("window", "session", to="2024-01-13"), "no session of demo that has closed"),
        (changed("window", "session", to="2024-01-15"), "The last one is 2024-01-12"),
        (changed("window", "session", to="2024-01-12T00:00:00Z"), "sessions have no time zone"),
        ([], "body: "),
    ],
    ids=str,
)
def test_what_is_missing_too_much_or_contradicts_itself_is_refused(served, body, told):
    assert told in refusal(send(served, body), 422, "QP239")
    assert served.journal.head().sequence == 0


def test_numbers_that_are_none_are_refused(served):
    body = json.dumps(SENT).replace("0.02", "NaN")
    answer = served.client.ask("POST", AUDIT_LOG, body, **KNOWN)
    assert answer.status == 422
    assert served.journal.head().sequence == 0


@pytest.mark.parametrize(("part", "value"), [("strategy", "nobody"), ("market", "nowhere")])
def test_audits_of_unknown_strategies_are_refused(served, part, value):
    assert MODEL in refusal(send(served, changed(part, to=value)), 404, "QP114")


def test_without_a_token_of_its_own_the_api_only_reads(rolled):
    """S1-06: and the sentence says which variable to set."""
    client = rolled.with_token(None)
    before = rolled.journal.head()
    told = refusal(client.post(AUDIT_LOG, SENT, **KNOWN), 403, "QP115")
    assert "Set QP_API_TOKEN or QP_API_TOKEN_FILE" in told
    assert client.get(ROLLOUT_STATE).status == 200
    assert rolled.journal.head() == before


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": TOKEN}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": "Bearer "}]
)
def test_whoever_has_not_the_token_sends_nothing(served, headers):
    answer = send(served, SENT, headers)
    refusal(answer, 401, "QP116")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert served.journal.head().sequence == 0


def test_a_journal_that_is_not_whole_takes_no_audit(rolled):
    rolled.tamper("DELETE FROM journal WHERE sequence = (SELECT max(sequence) FROM journal)")
    assert "qp journal verify" in refusal(send(rolled, SENT), 500, "QP531")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("GET", AUDIT_LOG, 405), ("DELETE", ROLLOUT_STATE, 405)]
)
def test_other_paths_and_methods_are_told_with_those_there_are(served, method, path, status):
    told = refusal(served.client.ask(method, path), status, "QP117")
    assert ROLLOUT_STATE in told
    assert AUDIT_LOG in told
