"""Laws of a table, checked against a dictionary that does the same slowly."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quant_pipelines.clock import FixedClock
from quant_pipelines.errors import Conflict
from quant_pipelines.lake import (
    Lake,
    SessionChange,
    Table,
    TableSchemaChanged,
    UnknownColumn,
    UnknownVersion,
    Window,
    Writer,
)
from quant_pipelines.lake.schemas import Column, TableSchema

FIRST = datetime(2024, 1, 1)
# Windows of up to 80 days cross three months; levels make sessions that differ, repeat and return.
REPLACEMENTS = st.lists(
    st.tuples(
        st.integers(0, 70), st.integers(0, 79), st.sets(st.integers(0, 79), max_size=8), st.sampled_from([1.0, 2.0])
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=REPLACEMENTS)
def test_every_version_reads_as_a_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory, schema: TableSchema, rows, writer: Writer, steps: list
):
    """Replace is 'the window holds exactly these rows'; as_of reads of all earlier versions stay true."""
    table = Lake(str(tmp_path_factory.mktemp("lake")), clock=FixedClock(datetime(2024, 6, 1, tzinfo=UTC))).table(
        "demo", schema
    )
    model: dict[int, float] = {}
    versions: dict[int, dict[int, float]] = {}
    for first, length, chosen, level in steps:
        window = Window(FIRST + timedelta(days=first), FIRST + timedelta(days=first + length))
        inside = sorted(day for day in chosen if first <= day <= first + length)
        kept = {day: held for day, held in model.items() if not first <= day <= first + length}
        commit = table.replace(rows(inside, level=level), window=window, writer=writer)
        after = kept | dict.fromkeys(inside, level)
        differing = {day for day in model.keys() | after.keys() if model.get(day) != after.get(day)}
        assert {(change.session - FIRST).days for change in commit.changed} == differing
        assert commit.data_version == table.data_version(window)
        model = after
        versions[commit.version] = dict(model)
    for version, held in versions.items():
        expected = [rows([day], level=level) for day, level in sorted(held.items())]
        assert table.read(as_of=version).equals(pa.concat_tables([schema.arrow.empty_table(), *expected]))
        assert table.session_ids(as_of=version) == table.ids_of(table.read(as_of=version))
    assert table.verify() == []


def test_equal_content_is_written_once(table: Table, rows, days: Callable[..., Window], writer: Writer):
    """Fetching again changes nothing: same id, no commit, no bytes, and the first provenance stays."""
    first = table.replace(rows(range(40)), window=days(0, 50), writer=writer)
    files = table.files()
    again = table.replace(rows(range(40), source="two"), window=days(0, 50), writer=writer)
    assert (again.version, again.changed, again.unchanged, again.bytes_written) == (first.version, (), 40, 0)
    assert (again.data_version, table.files()) == (first.data_version, files)
    assert set(table.read()["source"].to_pylist()) == {"one"}


def test_only_what_changed_is_written(table: Table, rows, days: Callable[..., Window], writer: Writer):
    table.replace(rows(range(40)), window=days(0, 39), writer=writer)
    paths = lambda: {file.path for file in table._log.current().files}  # noqa: E731
    before = paths()
    commit = table.replace(rows([35], level=9.0), window=days(35), writer=writer)
    assert [change.session for change in commit.changed] == [FIRST + timedelta(days=35)]
    assert len(before & paths()) == 1, "the other month's file stays"


def test_an_empty_window_removes_its_sessions(table: Table, rows, days: Callable[..., Window], writer: Writer):
    table.replace(rows(range(5)), window=days(0, 4), writer=writer)
    commit = table.replace(rows([]), window=days(1, 2), writer=writer)
    assert [(change.session.day, change.new) for change in commit.changed] == [(2, None), (3, None)]
    assert [session.day for session in table.session_ids()] == [1, 4, 5]
    assert table.read(as_of=1).num_rows == 15


def test_a_table_that_was_never_written_is_empty(table: Table, schema: TableSchema, days: Callable[..., Window]):
    assert table.version() is None
    assert table.read(days(0, 9)).equals(schema.arrow.empty_table())
    assert (table.session_ids(), table.history(), table.verify(), table.compact()) == ({}, [], [], 0)


def test_reads_choose_columns_symbols_and_windows(table: Table, rows, days: Callable[..., Window], writer: Writer):
    table.replace(rows(range(40)), window=days(0, 39), writer=writer)
    chosen = table.read(days(30, 31), columns=["close", "session"], symbols={"S2", "nobody"})
    assert chosen.column_names == ["close", "session"]
    assert chosen.to_pydict() == {
        "close": [32.0, 33.0],
        "session": [FIRST + timedelta(days=30), FIRST + timedelta(days=31)],
    }
    assert table.read(columns=["note"]).num_rows == 120
    with pytest.raises(UnknownColumn, match="no column colour"):
        table.read(columns=["colour"])


def test_a_row_group_of_many_sessions_reads_any_of_them(
    table: Table, rows, days: Callable[..., Window], writer: Writer
):
    table.replace(rows(range(28), symbols=700), window=days(0, 27), writer=writer)
    for day in (0, 5, 23, 24, 27):
        assert table.read(days(day)).equals(
            rows([day], symbols=700).sort_by([("session", "ascending"), ("symbol", "ascending")])
        )


def test_an_instant_reads_the_newest_version_at_or_before_it(
    tmp_path: Path, schema: TableSchema, rows, days, writer: Writer
):
    start = datetime(2024, 6, 1, tzinfo=UTC)
    for hour in range(3):
        lake = Lake(str(tmp_path), clock=FixedClock(start + timedelta(hours=hour)))
        table = lake.table("demo", schema)
        table.replace(rows([0], level=hour + 1.0), window=days(0), writer=writer)
    at = lambda moment: table.read(as_of=moment)["close"].to_pylist()[1:]  # noqa: E731
    assert at(start + timedelta(minutes=90)) == [2.0, 4.0]
    assert at(start + timedelta(hours=2)) == [3.0, 6.0]
    assert at(start - timedelta(hours=1)) == []
    with pytest.raises(ValueError, match="aware time"):
        table.read(as_of=datetime(2024, 6, 1))


def test_an_unknown_version_is_named(table: Table, rows, days: Callable[..., Window], writer: Writer):
    with pytest.raises(UnknownVersion, match="no version yet"):
        table.read(as_of=1)
    table.replace(rows([0]), window=days(0), writer=writer)
    with pytest.raises(UnknownVersion, match="versions 0 to 1, but version 7"):
        table.read(as_of=7)
    assert table.read(as_of=1).num_rows == 3


def test_history_says_who_changed_what(table: Table, rows, days: Callable[..., Window], writer: Writer):
    table.replace(rows(range(3)), window=days(0, 9), writer=writer)
    table.replace(rows([1], level=2.0), window=days(1), writer=Writer("another"))
    newest, older, created = table.history()
    assert (newest.version, newest.operation, newest.writer) == (2, "replace", Writer("another"))
    assert (newest.sessions, newest.first, newest.last, newest.rows) == (
        1,
        datetime(2024, 1, 2),
        datetime(2024, 1, 2),
        3,
    )
    assert (older.sessions, older.rows, older.writer, older.created_at.year) == (3, 9, writer, 2024)
    assert created.operation == "create"
    assert table.history(limit=1) == [newest]


def test_diff_and_cells_tell_what_was_restated(table: Table, rows, days: Callable[..., Window], writer: Writer):
    table.replace(rows([0, 1]), window=days(0, 1), writer=writer)
    changed = rows([1], symbols=4)
    changed = changed.set_column(2, "close", pa.array([-0.0, 2.5, None, 1.0]))
    table.replace(changed.slice(1), window=days(1), writer=writer)
    session = datetime(2024, 1, 2)
    old, new = table.session_ids(as_of=1)[session], table.session_ids()[session]
    assert table.diff(1, None) == [SessionChange(session, old, new)]
    assert table.diff(1, 1) == []
    cells = table.compare_rows(1, 2, session).drop_columns(["session"]).to_pylist()
    assert cells == [
        {"symbol": "S0", "column": "row", "old": "present", "new": None},
        {"symbol": "S1", "column": "close", "old": "2", "new": "2.5"},
        {"symbol": "S2", "column": "close", "old": "3", "new": None},
        {"symbol": "S3", "column": "row", "old": None, "new": "present"},
    ]


def test_a_sign_of_zero_is_a_changed_cell(table: Table, rows, days: Callable[..., Window], writer: Writer):
    for version, zero in enumerate((0.0, -0.0), start=1):
        commit = table.replace(
            rows([0]).set_column(2, "close", pa.array([zero, 1.0, 2.0])), window=days(0), writer=writer
        )
        assert commit.version == version
    assert table.compare_rows(1, 2, FIRST).select(["old", "new"]).to_pylist() == [{"old": "0", "new": "-0"}]


def test_a_fence_keeps_a_late_writer_out(table: Table, rows, days: Callable[..., Window], writer: Writer):
    """Target R2: what a run computed after it was ended is not published."""

    class RunIsOverError(Conflict):
        pass

    def closed() -> None:
        raise RunIsOverError("the run is over")

    table.replace(rows([0]), window=days(0), writer=writer)
    with pytest.raises(RunIsOverError):
        table.replace(rows([0], level=5.0), window=days(0), writer=writer, fence=closed)
    assert (table.version(), table.read().equals(rows([0]))) == (1, True)
    passed: list[str] = []

    @contextmanager
    def told() -> Iterator[None]:
        passed.append(f"entered at version {table.version()}")
        yield
        passed.append(f"left at version {table.version()}")

    table.replace(rows([0], level=5.0), window=days(0), writer=writer, fence=told)
    assert passed == ["entered at version 1", "left at version 2"]


def test_another_schema_is_refused_and_told_apart(
    *, lake: Lake, table: Table, schema: TableSchema, rows, days, writer: Writer
):
    table.replace(rows([0]), window=days(0), writer=writer)
    columns = (*schema.columns[:-1], Column("extra", pa.int64(), "New."))
    other = lake.table("demo", TableSchema("bars", "Other.", key=schema.key, columns=columns))
    with pytest.raises(TableSchemaChanged, match=r"column extra is absent.*column source is text \(provenance\)"):
        other.read()
    assert lake.table("demo", schema).read().num_rows == 3


def test_tables_and_markets_are_apart(
    lake: Lake, schema: TableSchema, rows, days: Callable[..., Window], writer: Writer
):
    lake.table("one", schema).replace(rows([0]), window=days(0), writer=writer)
    assert lake.table("two", schema).read().num_rows == 0
    with pytest.raises(ValueError, match="names no folder"):
        lake.table("../elsewhere", schema)


def test_other_programs_read_the_same_rows(
    table: Table, schema: TableSchema, rows, days: Callable[..., Window], writer: Writer
):
    """The format is Delta Lake: nobody needs this library to get at the data."""
    from deltalake import DeltaTable

    table.replace(rows(range(40)), window=days(0, 39), writer=writer)
    table.replace(rows([3], level=4.0), window=days(3), writer=writer)
    theirs = DeltaTable(table._log.store.url).to_pyarrow_table().select(schema.names)
    assert theirs.sort_by([("session", "ascending"), ("symbol", "ascending")]).cast(schema.arrow).equals(table.read())


def test_hourly_sessions_keep_their_hours(table: Table, rows, writer: Writer):
    labels = [datetime(2024, 1, 31, 22) + timedelta(hours=hour) for hour in range(4)]
    hourly = pa.concat_tables(
        [rows([0]).set_column(0, "session", pa.array([label] * 3, pa.timestamp("us"))) for label in labels]
    )
    table.replace(hourly, window=Window(labels[0], labels[-1]), writer=writer)
    assert list(table.session_ids()) == labels
    assert table.files().periods == 2
    assert table.read(Window(labels[1], labels[2])).num_rows == 6


def test_a_stored_table_opens_without_its_schema(lake: Lake, table: Table, rows, days, writer: Writer):
    assert (lake.names("demo"), lake.stored("demo", "bars")) == ([], None)
    table.replace(rows([0, 1]), window=days(0, 1), writer=writer)
    stored = lake.stored("demo", "bars")
    assert stored is not None
    assert stored.read().equals(table.read())
    assert stored.session_ids() == table.session_ids()
    assert stored.replace(rows([2]), window=days(2), writer=writer).changed
    assert (lake.names("demo"), lake.names("elsewhere")) == (["bars"], [])


def test_what_a_window_will_hold_is_told_before_the_commit(table: Table, rows, days: Callable[..., Window], writer):
    """Also where there is nothing to commit; and whoever refuses what is told abandons the commit."""
    told: list[tuple[int | None, dict]] = []

    def announce(ids) -> None:
        told.append((table.version(), dict(ids)))

    table.replace(rows(range(40)), window=days(0, 50), writer=writer, announce=announce)
    table.replace(rows(range(40)), window=days(0, 50), writer=writer, announce=announce)
    held = table.session_ids()
    assert told == [(0, held), (1, held)]

    def refuse(ids) -> None:
        raise Conflict("No.")

    with pytest.raises(Conflict):
        table.replace(rows([3], level=9.0), window=days(3), writer=writer, announce=refuse)
    assert (table.session_ids(), table.version()) == (held, 1)


def test_versions_tell_what_the_table_held_and_whether_it_still_does(table: Table, rows, days, writer: Writer):
    """S2-38: id, version, creation, range, status; equal content is the same id, whichever commit made it."""
    table.replace(rows(range(5)), window=days(0, 9), writer=writer)
    table.replace(rows(range(5, 8), level=2.0), window=days(5, 9), writer=writer)
    table.replace(rows([]), window=days(5, 9), writer=writer)
    found = table.versions()
    assert [each.commit.version for each in found] == [3, 2, 1, 0]
    assert [each.status.value for each in found] == ["current", "superseded", "current", "superseded"]
    for each in found:
        held = table.session_ids(as_of=each.commit.version)
        assert (each.sessions, each.first, each.last) == (len(held), min(held, default=None), max(held, default=None))
        assert each.id == table.data_version(Window(FIRST, FIRST + timedelta(days=400)), as_of=each.commit.version)
        assert each.rows == table.read(as_of=each.commit.version).num_rows
    assert found[0].size_bytes == table.files().size_bytes
    assert [each.commit.version for each in table.versions(2)] == [3, 2]
    assert {each.commit.writer for each in found[:3]} == {writer}
