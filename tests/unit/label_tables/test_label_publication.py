"""The labels table: what appears when, what is left alone, and that no label knows what came after its span."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from quant_pipelines.clock import FixedClock, SystemClock
from quant_pipelines.label_tables import LABELS, judge_labels, longest_span
from quant_pipelines.label_tables import publish as publishing
from quant_pipelines.labels import LABEL_SETS
from quant_pipelines.lake import Window, Writer
from quant_pipelines.lake.tables import PRICES

LAST = 39
WRITER = Writer("somebody")
SPAN = {name: each.resolves_after for name, each in LABEL_SETS.items()}


def held(scene):
    """(place of the session, label set) that have rows."""
    rows = scene.publisher().table.read(columns=["session", "label_set"]).to_pylist()
    return {(scene.sessions.index(row["session"]), row["label_set"]) for row in rows}


def with_prices(scene, last=LAST):
    ids = scene.lake.table("m", PRICES).session_ids()
    return [at for at, session in enumerate(scene.sessions[: last + 1]) if session in ids]


def test_every_price_whose_span_has_closed_has_a_row_in_every_set(scene):
    scene.arrive()
    scene.publish()
    prices = scene.lake.table("m", PRICES).read(columns=["session", "symbol"])
    rows = scene.publisher().table.read()
    assert rows.schema.names == list(LABELS.names)
    for name, after in SPAN.items():
        mine = [(row["session"], row["symbol"]) for row in rows.to_pylist() if row["label_set"] == name]
        last = scene.sessions[LAST - after]
        assert mine == [(row["session"], row["symbol"]) for row in prices.to_pylist() if row["session"] <= last]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_row_appears_in_the_session_that_closes_its_span_and_never_before(scenes, data):
    """Prices arrive session by session, and after each of them all labels are published again."""
    scene = scenes(data.draw(st.integers(0, 2**31)), data.draw(st.sampled_from(["suspended", "gap"])))
    first = data.draw(st.integers(0, LAST - 8))
    scene.arrive(0, first)
    for newest in range(first, first + 8):
        scene.arrive(newest, newest)
        published = scene.publish(0, newest, known=newest)
        known = with_prices(scene, newest)
        last = known[-1] if known else -1
        closed = {(at, name) for at in known for name, after in SPAN.items() if at + after <= last}
        assert held(scene) == closed
        waiting = {(scene.sessions.index(each), name) for each, names in published.waiting.items() for name in names}
        assert waiting == {(at, name) for at in known for name in SPAN} - closed


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    missing_bar=st.sampled_from(["suspended", "gap"]),
    left=st.dictionaries(st.integers(0, 3), st.integers(0, LAST), max_size=2),
    cuts=st.sets(st.integers(1, LAST), max_size=6),
)
@example(seed=916477746, missing_bar="gap", left={0: 0}, cuts={18}).via("the last session of a piece has no bar at all")
def test_labels_published_piece_by_piece_as_prices_arrive_are_those_published_at_once(
    scenes, seed, missing_bar, left, cuts
):
    """S3-18, S3-22: labels never change when the future is cut beyond their span; append equals full."""
    pieces, whole = scenes(seed, missing_bar, left), scenes(seed, missing_bar, left)
    oldest_open = 0
    for first, end in pairwise([0, *sorted(cuts), LAST + 1]):
        pieces.arrive(first, end - 1)
        pieces.publish(oldest_open, end - 1, known=end - 1)
        # Counted from the last prices: of sessions after them nobody knew whether they would stay empty.
        oldest_open = max(0, max(with_prices(pieces), default=0) + 1 - longest_span())
    whole.arrive()
    whole.publish()
    assert pieces.publisher().table.session_ids() == whole.publisher().table.session_ids()


def test_chunks_change_nothing(scenes, monkeypatch):
    at_once, in_parts = scenes(5, "suspended"), scenes(5, "suspended")
    at_once.arrive()
    at_once.publish()
    in_parts.arrive()
    monkeypatch.setattr(publishing, "CHUNK_ROWS", 3 * 4 * 9)
    chunks = in_parts.publisher().chunks(in_parts.all)
    assert len(chunks) == 5
    for chunk in chunks:
        in_parts.publish(in_parts.sessions.index(chunk.first), in_parts.sessions.index(chunk.last))
    assert in_parts.publisher().table.session_ids() == at_once.publisher().table.session_ids()


def test_what_is_fresh_is_not_made_again(scene):
    scene.arrive()
    assert len(scene.publish().computed) == len([at for at in with_prices(scene) if at < with_prices(scene)[-1]])
    again = scene.publish()
    assert (again.computed, again.commits) == ([], [])


def test_a_corrected_price_makes_exactly_the_sessions_stale_whose_spans_hold_it(scene):
    scene.arrive()
    scene.publish()
    scene.close[20] *= 1.001
    scene.arrive(20, 20)
    stale = [scene.sessions.index(each) for each in scene.publish().computed]
    assert stale == [at for at in with_prices(scene) if 20 - longest_span() <= at <= 20]


def test_a_later_delisting_or_listing_makes_nothing_stale(scenes):
    """What a source learns tomorrow about tomorrow says nothing about labels that have resolved."""
    scene = scenes(7, "suspended", {0: 30, 2: 31})
    scene.arrive(0, 20)
    scene.publish(0, 20, known=20)
    assert scene.publish(0, 20, known=LAST).computed == []


def test_a_session_whose_prices_are_not_there_yet_is_waited_for(scenes):
    """Where every listed symbol has a row in every session, one without rows was not published yet."""
    scene = scenes(4, "suspended", {})
    scene.arrive(0, 14)
    scene.arrive(16, 30)
    scene.publish()
    assert (14, "direction3") not in held(scene)
    assert (9, "dual") in held(scene)
    assert (10, "dual") not in held(scene)
    scene.arrive(15, 15)
    scene.publish()
    assert {(14, "direction3"), (10, "dual"), (15, "dual")} <= held(scene)


def test_a_session_that_lost_its_prices_loses_its_labels_and_those_that_ended_in_it(scenes):
    scene = scenes(4, "suspended", {})
    scene.arrive()
    scene.publish()
    scene.listed[LAST] = False
    scene.arrive(LAST, LAST)
    scene.publish()
    assert max(at for at, name in held(scene) if name == "direction3") == LAST - 2


def test_a_damaged_file_is_made_anew_and_said(scene):
    scene.arrive()
    scene.publish()
    ids = scene.publisher().table.session_ids()
    file = next((scene.folder / "lake" / "m" / "labels").glob("period=2024-01/*.parquet"))
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 0x10
    file.write_bytes(bytes(data))
    assert file.name in scene.publish().damaged
    assert scene.publisher().table.session_ids() == ids
    assert scene.publisher().table.verify() == []


def broken(scene, clock=None, seed=1):
    judged = judge_labels(scene.publisher(), scene.all, clock=clock or SystemClock(), seed=seed)
    return {each.rule.name: each.broken for each in judged if each.broken is not None}


def test_every_rule_holds_on_what_was_published(scene):
    scene.arrive()
    scene.publish()
    assert broken(scene) == {}


def replanted(scene, change):
    """The table with something else in it than was made, under the same origin."""
    table = scene.publisher().table
    rows = [row for row in map(change, table.read().to_pylist()) if row is not None]
    # Emptied first: content that differs in nothing but its origin would keep the bytes that are there.
    table.replace(table.schema.arrow.empty_table(), window=scene.all, writer=WRITER)
    made = pa.Table.from_pylist(rows, schema=table.schema.arrow)
    table.replace(made, window=scene.all, writer=WRITER)


def test_a_label_that_knew_more_than_its_span_turns_the_check_red(scenes):
    """Off by the last bit of one number is enough."""
    scene = scenes(2, "suspended", {})
    scene.arrive()
    scene.publish()
    tried = {each for seed in range(5) for each in broken(scene, seed=seed)}
    assert tried == set()
    replanted(scene, lambda row: row | {"value": None if row["value"] is None else np.nextafter(row["value"], 1.0)})
    found = broken(scene)
    assert set(found) == {"past_does_not_change"}
    example = found["past_does_not_change"].examples[0]
    assert example["held"] != example["known at the time"]


def test_lost_rows_and_spans_of_another_length_turn_checks_red(scenes):
    scene = scenes(2, "suspended", {})
    scene.arrive()
    scene.publish()
    replanted(scene, lambda row: None if row["symbol"] == "600001.SH" and row["label_set"] == "dual" else row)
    assert "shape" in broken(scene)
    scene.publish()
    replanted(scene, lambda row: row | {"resolves": row["opens"]})
    assert "none_before_its_close" in broken(scene)


def test_a_label_before_its_close_by_the_clock_turns_the_check_red(scenes):
    scene = scenes(2, "suspended", {})
    scene.arrive()
    scene.publish()
    last_close = scene.market.sessions_calendar.close_of(scene.sessions[LAST])
    assert broken(scene, FixedClock(last_close)) == {}
    early = FixedClock(datetime(2024, 2, 1, tzinfo=UTC))
    assert set(broken(scene, early)) == {"none_before_its_close"}


def test_sessions_that_were_left_behind_are_told(scenes):
    scene = scenes(2, "suspended", {})
    scene.arrive(0, 30)
    scene.publish(0, 30)
    scene.arrive(31, LAST)
    scene.publish(31, LAST)
    judged = judge_labels(scene.publisher(), scene.window(31, LAST), clock=SystemClock(), seed=1)
    (found,) = [each.broken for each in judged if each.broken is not None]
    assert found.found.startswith(
        f"5 sessions, {scene.sessions[26]:%Y-%m-%d} to {scene.sessions[30]:%Y-%m-%d}, are older"
    )


def test_sessions_that_nobody_asked_for_are_not_overdue(scenes):
    scene = scenes(2, "suspended", {})
    scene.arrive()
    scene.publish(20, LAST)
    judged = judge_labels(scene.publisher(), scene.window(20, LAST), clock=SystemClock(), seed=1)
    assert [each.broken for each in judged if each.broken is not None] == []


def test_lineage_tells_each_label_s_own_span(scene):
    """A bar leads to the labels whose span holds it, whether they closed early or late; recorded before the commit."""
    lineage = scene.lineage()
    scene.arrive()
    scene.publish(0, LAST, record=lineage.record)
    ids = scene.publisher().table.session_ids()
    last = with_prices(scene)[-1]
    reach = {at: max([0, *(after for after in SPAN.values() if at + after <= last)]) for at in with_prices(scene)}
    for at in [each for each in with_prices(scene) if each > 18]:
        found = lineage.dependents("m", scene.sessions[at], table="prices")
        expected = {scene.sessions[each] for each, span in reach.items() if span and each <= at <= each + span}
        assert {each.session for each in found.contents} == expected
        assert all(ids[each.session] == each.id for each in found.contents)


def test_lineage_names_exactly_the_sessions_that_a_corrected_price_makes_stale(scene):
    lineage = scene.lineage()
    scene.arrive()
    scene.publish(record=lineage.record)
    at = next(each for each in with_prices(scene) if each > 30)
    found = lineage.dependents("m", scene.sessions[at], table="prices")
    scene.close[at] *= 1.001
    scene.arrive(at, at)
    assert sorted(each.session for each in found.contents) == scene.publish().computed


def test_where_nothing_is_stale_what_is_there_goes_on_record(scene):
    """Of tables that are older than their lineage, too."""
    scene.arrive()
    scene.publish()
    lineage = scene.lineage()
    assert scene.publish(record=lineage.record).computed == []
    session = with_prices(scene)[10]
    assert lineage.dependents("m", scene.sessions[session], table="prices").contents


def test_signals_after_the_last_price_have_no_rows(scene):
    scene.arrive(0, 20)
    published = scene.publish(30, LAST)
    assert (published.computed, published.waiting, published.rows.num_rows) == ([], {}, 0)
    assert scene.publisher().table.session_ids(Window(scene.sessions[30], scene.sessions[39])) == {}
