"""What is cited stays; nothing goes that was not shown."""

import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import Entry, FileAnchor, Journal, sqlite_url
from quant_pipelines.lineage import Lineage, Node, NodeKind, Parent
from quant_pipelines.snapshots import PlanChanged, UnknownSnapshot, load
from quant_pipelines.snapshots.retention import KEEP_NEWEST, RETENTION, Retention
from quant_pipelines.snapshots.tracing import node_of
from tests.unit.snapshots.conftest import CLOCK, strategy


@pytest.fixture
def kept(scene):
    """Six snapshots of one strategy, oldest first, all recorded in lineage."""
    url = sqlite_url(scene.folder / "journal.db")
    lineage, journal = Lineage(url, clock=CLOCK), Journal(url, FileAnchor(scene.folder / "anchor"), clock=CLOCK)
    documents = [scene.builder().build(strategy(), each).document for each in scene.sessions[-6:]]
    for each in documents:
        lineage.record(node_of(each, scene.store))
    return Retention(store=scene.store, lineage=lineage, journal=journal, clock=SystemClock()), documents


def nothing(_told):
    """Nobody listens."""


def made_of(retention, parent, kind, name):
    node = Node(id=f"{name} of {parent}", kind=kind, market="tiny", name=name, parents=(Parent(parent, "trained on"),))
    retention.lineage.record(node)
    return node.id


def going(retention):
    return [each.id for each in retention.plan().going]


def test_the_newest_of_each_strategy_stay(kept):
    retention, documents = kept
    assert going(retention) == [each.id for each in documents[:-KEEP_NEWEST]]


def test_what_a_model_a_decision_or_the_journal_cites_is_pinned(kept):
    retention, documents = kept
    model = made_of(retention, documents[0].id, NodeKind.MODEL, "candidate")
    made_of(retention, model, NodeKind.DECISION, "verdict")
    payload = {"evidence": [{"train_lineage_id": documents[1].id}]}
    retention.journal.append(Entry(kind="decision", subject="s", actor="test", payload=payload))
    assert going(retention) == [documents[2].id]
    reasons = {fate.document.id: fate.reasons for fate in retention.plan().fates}
    assert reasons[documents[1].id] == ("journal row 1 (decision) cites it",)
    assert [each.split(" ")[0] for each in reasons[documents[0].id]] == ["decision", "model"]


def test_a_closed_model_pins_nothing(kept):
    retention, documents = kept
    model = made_of(retention, documents[0].id, NodeKind.MODEL, "candidate")
    assert documents[0].id not in going(retention)
    closed = Retention(
        store=retention.store, lineage=retention.lineage, journal=retention.journal, clock=SystemClock(),
        closed=frozenset({model}),
    )  # fmt: skip
    assert documents[0].id in going(closed)


def test_planning_touches_nothing_and_only_the_shown_plan_is_carried_out(kept):
    retention, documents = kept
    before = {path: path.stat().st_mtime_ns for path in retention.store.local.root.rglob("*")}
    plan = retention.plan()
    assert {path: path.stat().st_mtime_ns for path in retention.store.local.root.rglob("*")} == before
    made_of(retention, documents[0].id, NodeKind.MODEL, "candidate")
    with pytest.raises(PlanChanged, match="not what would go now") as refusal:
        retention.run(plan.id, actor="test", tell=nothing)
    assert refusal.value.code == "QP440"
    with pytest.raises(PlanChanged):
        retention.run("", actor="test", tell=nothing)
    assert len(retention.store.ids()) == len(documents)


def test_what_goes_is_gone_what_stays_is_whole_and_the_journal_knows(kept):
    retention, documents = kept
    plan = retention.plan()
    size = sum(retention.store.blobs().values())
    retention.run(plan.id[:16], actor="somebody", tell=nothing)
    assert sorted(retention.store.ids()) == sorted(each.id for each in documents[-KEEP_NEWEST:])
    assert sum(retention.store.blobs().values()) == size - plan.bytes
    for each in documents[-KEEP_NEWEST:]:
        assert load(retention.store, retention.store.document(each.id)).block.size
    with pytest.raises(UnknownSnapshot):
        retention.store.document(documents[0].id)
    (row,) = retention.journal.rows(kind=RETENTION)
    assert (row.actor, row.payload["snapshots"]) == ("somebody", sorted(each.id for each in documents[:-KEEP_NEWEST]))
    assert going(retention) == []


def test_what_went_is_built_again_with_the_same_id(kept, scene):
    retention, documents = kept
    retention.run(retention.plan().id, actor="test", tell=nothing)
    again = scene.builder().build(strategy(), documents[0].recipe.cutoff)
    assert (again.document.id, again.made) == (documents[0].id, True)
