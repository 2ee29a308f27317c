"""What was recorded is found again, once, in both directions; nothing else is."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from quant_pipelines.lineage import (
    Contents,
    LineageConflict,
    LineageRefused,
    Node,
    NodeKind,
    Parent,
    Reach,
    Read,
    UnknownContent,
    UnknownNode,
    table_version,
)
from quant_pipelines.lineage.tables import ENTRIES
from quant_pipelines.lineage.trees import tree

KEYS = {"lists": "id", "entries": "list", "nodes": "id", "edges": "child", "reads": "node"}


def snapshot(name, *reads, **more):
    return Node(id=f"id of {name}", kind=NodeKind.SNAPSHOT, market="demo", name=name, reads=reads, **more)


def made(kind, name, *parents, **more):
    edges = tuple(sorted(Parent(f"id of {each}", "made of") for each in parents))
    return Node(id=f"id of {name}", kind=kind, market="demo", name=name, parents=edges, **more)


@pytest.fixture
def story(lineage, contents):
    """Ten days of bars, made into prices, features with a look-back of two, two snapshots, their models, a decision."""
    nodes = {
        "raw": table_version(contents("raw_bars", range(10))),
        "prices": table_version(contents("prices", range(10)), (Read(contents=contents("raw_bars", range(10))),)),
        "features": table_version(
            contents("features", range(10)), (Read(contents=contents("prices", range(10)), reach=Reach(back=2)),)
        ),
        "early": snapshot("early", Read(contents=contents("features", range(5)))),
        "late": snapshot("late", Read(contents=contents("features", range(5, 10))), symbols=("A", "B")),
    }
    nodes["model"] = made(NodeKind.MODEL, "model", "early")
    nodes["other"] = made(NodeKind.MODEL, "other", "late")
    nodes["decision"] = made(NodeKind.DECISION, "decision", "model", "other", facts={"verdict": "promote"})
    for node in nodes.values():
        assert lineage.record(node)
    return nodes


def names(traced):
    return {known.name for known in traced.nodes}


def test_what_was_recorded_is_read_back(lineage, story):
    for node in story.values():
        assert lineage.node(node.id) == node
        assert not lineage.record(node), "recorded once"
    assert lineage.parents_of("id of decision") == (Parent("id of model", "made of"), Parent("id of other", "made of"))
    assert lineage.known("id of model").created_at == datetime(2024, 6, 1, 12, tzinfo=UTC)


def test_ancestors_reach_down_to_the_bars(lineage, story, contents, day):
    """Days 5 to 9 of the features need prices of days 3 to 9, no others."""
    found = lineage.ancestors("id of late")
    assert names(found) == {"features", "prices", "raw_bars"}
    days = {table: {each.session for each in found.contents if each.table == table} for table in contents_tables(found)}
    assert days == {
        "features": {day(each) for each in range(5, 10)},
        "prices": {day(each) for each in range(3, 10)},
        "raw_bars": {day(each) for each in range(3, 10)},
    }
    assert names(lineage.ancestors("id of decision")) >= {"model", "other", "early", "late"}


def contents_tables(found):
    return {each.table for each in found.contents}


def test_a_bar_leads_to_exactly_its_dependents(lineage, story, day):
    assert names(lineage.dependents("demo", day(9))) == {"raw_bars", "prices", "features", "late", "other", "decision"}
    assert names(lineage.dependents("demo", day(2))) == {"raw_bars", "prices", "features", "early", "model", "decision"}
    assert names(lineage.dependents("demo", day(3))) >= {"early", "late", "model", "other"}
    touched = {(each.table, each.session) for each in lineage.dependents("demo", day(8)).contents}
    assert touched == {("prices", day(8)), ("features", day(8)), ("features", day(9))}


def test_a_restated_session_keeps_its_dependents_apart(lineage, story, contents, day):
    """Whoever reads the new content does not depend on the old one, and the other way round."""
    after = contents("features", range(5, 10), 1)
    lineage.record(snapshot("corrected", Read(contents=after)))
    old = contents("features", [7]).ids[day(7)]
    new = after.ids[day(7)]
    find = lambda content: names(lineage.dependents("demo", day(7), table="features", content=content))  # noqa: E731
    assert find(old) == {"features", "late", "other", "decision"}
    assert find(new) == {"corrected"}
    assert find(None) == find(old) | find(new)


def test_a_symbol_leads_to_those_who_read_it(lineage, story, day):
    """`late` reads the symbols A and B, `early` reads all."""
    assert "late" in names(lineage.dependents("demo", day(9), symbol="A"))
    assert names(lineage.dependents("demo", day(9), symbol="Z")) == {"raw_bars", "prices", "features"}
    assert "early" in names(lineage.dependents("demo", day(1), symbol="Z"))


def test_a_rank_over_symbols_spreads_one_symbol_to_all(lineage, contents, day):
    ranks = contents("ranks", range(3))
    prices = contents("prices", range(3))
    lineage.record(table_version(prices))
    lineage.record(table_version(ranks, (Read(contents=prices, across_symbols=True),)))
    lineage.record(snapshot("of A by rank", Read(contents=ranks), symbols=("A",)))
    lineage.record(snapshot("of A by price", Read(contents=prices), symbols=("A",)))
    found = names(lineage.dependents("demo", day(1), table="prices", symbol="Z"))
    assert found == {"prices", "ranks", "of A by rank"}


def test_labels_look_ahead(lineage, contents, day):
    lineage.record(table_version(contents("prices", range(9))))
    read = Read(contents=contents("prices", range(9)), reach=Reach(back=0, ahead=5))
    lineage.record(table_version(contents("labels", range(4)), (read,)))
    touched = {each.session for each in lineage.dependents("demo", day(7), table="prices").contents}
    assert touched == {day(2), day(3)}
    assert names(lineage.dependents("demo", day(0), table="prices")) == {"prices", "labels"}


def test_all_history_is_a_reach_too(lineage, contents, day):
    lineage.record(table_version(contents("prices", range(40))))
    read = Read(contents=contents("prices", range(40)), reach=Reach(back=None))
    lineage.record(table_version(contents("ema", range(40)), (read,)))
    touched = {each.session for each in lineage.dependents("demo", day(30), table="prices").contents}
    assert touched == {day(each) for each in range(30, 40)}


def test_what_a_model_predicted_depends_on_all_it_has_seen(lineage, story, contents, day):
    predictions = made(NodeKind.PREDICTIONS, "predictions", "model", writes=contents("predictions", [20, 21]))
    lineage.record(predictions)
    found = lineage.dependents("demo", day(0))
    assert "predictions" in names(found)
    assert {each.session for each in found.contents if each.table == "predictions"} == {day(20), day(21)}
    assert "predictions" not in names(lineage.dependents("demo", day(9)))


@pytest.mark.parametrize(
    "changed",
    [{"name": "x"}, {"facts": {"a": 1}}, {"parents": ()}, {"symbols": ("A",)}, {"kind": NodeKind.DECISION}],
)
def test_one_id_is_one_content(lineage, story, changed):
    fields = {"kind": NodeKind.MODEL, "market": "demo", "name": "model", "parents": story["model"].parents}
    with pytest.raises(LineageConflict, match="id of model"):
        lineage.record(Node(id="id of model", **fields | changed))
    assert not lineage.record(story["model"])


def test_other_sessions_under_one_id_are_refused(lineage, story, contents):
    with pytest.raises(LineageConflict):
        lineage.record(snapshot("early", Read(contents=contents("features", range(6)))))
    with pytest.raises(LineageConflict):
        lineage.record(snapshot("early", Read(contents=contents("features", range(5), 1))))


def test_parents_come_first(lineage, story):
    with pytest.raises(UnknownNode, match="id of nobody"):
        lineage.record(made(NodeKind.MODEL, "orphan", "nobody"))
    for ask in (lineage.node, lineage.known, lineage.parents_of, lineage.ancestors):
        with pytest.raises(UnknownNode, match="id of orphan"):
            ask("id of orphan")


def test_what_was_never_recorded_is_no_empty_answer(lineage, story, day):
    """A misspelt table would read as `nothing depends on it`."""
    for ask in ({"table": "price"}, {"content": "another"}):
        with pytest.raises(UnknownContent, match="never recorded"):
            lineage.dependents("demo", day(3), **ask)
    with pytest.raises(UnknownContent, match="2023-12-27"):
        lineage.dependents("demo", day(-1))
    with pytest.raises(UnknownContent):
        lineage.dependents("nowhere", day(3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Contents(market="demo", table="prices", ids={}),
        lambda: Contents(market="demo", table="prices", ids={datetime(2024, 1, 1, tzinfo=UTC): "x"}),
        lambda: Reach(back=-1),
        lambda: Reach(ahead=-1),
        lambda: Node(id="x", kind=NodeKind.TABLE_VERSION, market="demo", name="prices"),
    ],
)
def test_what_means_nothing_is_refused(make):
    with pytest.raises(LineageRefused):
        make()


@given(st.lists(st.datetimes(datetime(2019, 1, 1), datetime(2024, 1, 1)), min_size=1, max_size=60, unique=True))
def test_a_list_is_named_by_its_sessions_in_any_order(sessions):
    ids = {session: session.isoformat()[-5:] for session in sessions}
    named = lambda each: tree(Contents(market="demo", table="prices", ids=each))[-1].id  # noqa: E731
    assert named(ids) == named(dict(reversed(ids.items())))
    assert named(ids) != named(ids | {sessions[0]: "another"})
    assert named(ids) != named(ids | {datetime(2025, 1, 1): "one more"})


def test_equal_months_are_stored_once(lineage, contents):
    """A day more costs a month, a year and a root, not all the days before it."""

    def rows():
        with lineage._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(ENTRIES)).scalar()

    lineage.record(snapshot("one", Read(contents=contents("prices", range(1500)))))
    before = rows()
    lineage.record(snapshot("same days", Read(contents=contents("prices", range(1500)))))
    assert rows() == before
    lineage.record(snapshot("a day more", Read(contents=contents("prices", range(1501)))))
    assert rows() - before <= 31 + 12 + 6


def test_hourly_sessions_are_stored_by_the_day(lineage):
    hours = {datetime(2024, 1, 1) + timedelta(hours=each): f"c{each}" for each in range(60)}
    contents = Contents(market="demo", table="prices", ids=hours)
    node = snapshot("hourly", Read(contents=contents))
    lineage.record(node)
    assert lineage.node(node.id).reads[0].contents == contents
    assert names(lineage.dependents("demo", datetime(2024, 1, 2, 7), table="prices")) == {"hourly"}


@pytest.mark.parametrize("table", ["lists", "entries", "nodes", "edges", "reads"])
def test_the_database_itself_refuses_changes(lineage, story, table):
    for statement in (f"DELETE FROM lineage_{table}", f"UPDATE lineage_{table} SET {KEYS[table]} = 'x'"):  # noqa: S608 - our own names
        with (
            pytest.raises(DBAPIError, match="append-only"),
            lineage._database._engine.begin() as connection,
        ):
            connection.execute(text(statement))
    assert lineage.node("id of late") == story["late"]


def test_writers_at_once_record_each_node_once(lineage, contents):
    """Two runs that end together record the same lists, and the same node."""

    def record(number):
        own = snapshot(f"own {number}", Read(contents=contents("prices", range(number, 60))))
        return [lineage.record(own), lineage.record(snapshot("shared", Read(contents=contents("prices", range(60)))))]

    with ThreadPoolExecutor(8) as pool:
        recorded = list(pool.map(record, range(16)))
    assert all(own for own, _ in recorded)
    assert sum(shared for _, shared in recorded) == 1
    assert len(lineage.node("id of own 3").reads[0].contents.ids) == 57


def test_descendants_are_what_was_made_of_a_node_and_of_that(lineage, contents):
    read = Read(contents=contents("prices", [1]))
    lineage.record(Node(id="s", kind=NodeKind.SNAPSHOT, market="demo", name="x", reads=(read,)))
    lineage.record(Node(id="other", kind=NodeKind.SNAPSHOT, market="demo", name="x", reads=(read,)))
    for child, parent, kind in (("m", "s", NodeKind.MODEL), ("d", "m", NodeKind.DECISION)):
        lineage.record(Node(id=child, kind=kind, market="demo", name="x", parents=(Parent(parent, "trained on"),)))
    assert [each.id for each in lineage.descendants("s")] == ["d", "m"]
    assert lineage.descendants("other") == ()
