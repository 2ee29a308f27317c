"""What is appended is there, once, in order, and stays as it is."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError

from quant_pipelines.clock import FixedClock
from quant_pipelines.digest import digest_json
from quant_pipelines.journal import (
    GENESIS,
    DatabaseDamaged,
    DatabaseFailed,
    DatabaseIsNewer,
    Entry,
    EntryRefused,
    FileAnchor,
    Journal,
    JournalDamaged,
    KeyTaken,
    Kind,
    sqlite_url,
)


def test_what_was_appended_is_read_back(tampered, make_entry):
    written = [tampered.journal.append(make_entry(number)) for number in range(5)]
    assert list(tampered.again().rows()) == written
    assert [row.sequence for row in written] == [1, 2, 3, 4, 5]
    assert written[0].previous == GENESIS.hash
    assert [row.previous for row in written[1:]] == [row.hash for row in written[:-1]]
    assert tampered.journal.head() == written[-1].head


def test_a_row_has_the_hash_that_its_documentation_says(tampered, make_entry):
    """An independent derivation, from the database's own texts."""
    tampered.journal.append_once("k", make_entry(1))
    stored = tampered.all()[0]
    assert stored.pop("hash") == digest_json(stored)
    assert json.loads(stored["payload"]) == {"number": 1}
    assert stored["recorded_at"] == "2024-01-02T15:00:01.000000+00:00"


def test_an_empty_journal_has_no_rows_and_nothing_wrong(tampered):
    assert list(tampered.journal.rows()) == []
    assert tampered.journal.head() == GENESIS
    assert tampered.journal.verify() == []


def test_rows_are_chosen_by_kind_and_subject_and_counted_from_a_row(tampered, make_entry):
    for number in range(8):
        tampered.journal.append(make_entry(number, kind="even" if number % 2 == 0 else "odd", subject=f"s{number % 4}"))
    numbers = lambda rows: [row.payload["number"] for row in rows]  # noqa: E731
    journal = tampered.journal
    assert numbers(journal.rows(kind="even")) == [0, 2, 4, 6]
    assert numbers(journal.rows(subject="s3")) == [3, 7]
    assert numbers(journal.rows(kind="even", subject="s2")) == [2, 6]
    assert numbers(journal.rows(kind="even", subject="s3")) == []
    assert numbers(journal.rows(after=6)) == [6, 7]
    assert numbers(journal.rows(after=2, limit=3)) == [2, 3, 4]
    assert numbers(journal.rows(limit=0)) == []
    assert numbers(journal.newest(2)) == [6, 7]
    assert numbers(journal.newest(1, kind="odd", subject="s1")) == [5]


def test_many_rows_are_read_page_by_page(tampered, make_entry, monkeypatch):
    monkeypatch.setattr("quant_pipelines.journal.journal._PAGE_ROWS", 3)
    tampered.fill(7)
    assert len(list(tampered.journal.rows())) == 7
    assert len(list(tampered.journal.rows(limit=6))) == 6
    assert tampered.journal.verify() == []


def test_a_retried_entry_is_written_once(tampered, make_entry):
    first = tampered.journal.append_once("decision-1", make_entry(1, actor="run 1"))
    again = tampered.again().append_once("decision-1", make_entry(1, actor="run 2"))
    assert again == first
    assert tampered.journal.with_key("decision-1") == first
    assert tampered.journal.with_key("decision-2") is None
    assert len(tampered.all()) == 1


@pytest.mark.parametrize("changed", [{"kind": "other"}, {"subject": "other"}, {"payload": {"number": 1.5}}])
def test_one_key_is_one_content(tampered, make_entry, changed):
    tampered.journal.append_once("k", make_entry(1))
    with pytest.raises(KeyTaken, match=f"Row 1 .* another {next(iter(changed))}"):
        tampered.journal.append_once("k", make_entry(1, **changed))
    assert tampered.journal.append(make_entry(2)).sequence == 2, "a refused entry leaves no gap"


def test_equal_entries_without_a_key_are_two_events(tampered, make_entry):
    assert tampered.journal.append(make_entry(1)).hash != tampered.journal.append(make_entry(1)).hash


def test_a_clock_that_goes_back_changes_no_order(database_url, tmp_path, make_entry):
    anchor = FileAnchor(tmp_path / "anchor")
    for year in (2025, 2024):
        clock = FixedClock(datetime(year, 1, 1, tzinfo=UTC))
        Journal(database_url, anchor, clock=clock).append(make_entry(year))
    journal = Journal(database_url, anchor, clock=FixedClock(datetime(2026, 1, 1, tzinfo=UTC)))
    assert [row.recorded_at.year for row in journal.rows()] == [2025, 2024]
    assert journal.verify() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET actor = 'me' WHERE sequence = 2",
        "UPDATE journal SET actor = actor",
        "DELETE FROM journal WHERE sequence = 12",
        "DELETE FROM journal",
    ],
)
def test_the_database_itself_refuses_changes(filled, statement):
    before = filled.all()
    with pytest.raises(DBAPIError, match="append-only"):
        filled.run(statement)
    assert filled.all() == before


def test_sqlite_refuses_to_replace_rows(tmp_path, tampered_at):
    """INSERT OR REPLACE removes rows without a DELETE."""
    filled = tampered_at(str(sqlite_url(tmp_path / "journal.db")), tmp_path)
    filled.fill(3)
    same = filled.all()[1]
    for taken in ("sequence", "previous", "hash"):
        row = {"sequence": 9, "hash": "h", "previous": "p"} | {taken: same[taken]}
        insert = "INSERT OR REPLACE INTO journal VALUES (:sequence, NULL, 'k', 's', 'a', '{}', 't', :previous, :hash)"
        with pytest.raises(DBAPIError, match="REPLACE is refused"):
            filled.run(insert, **row)
    assert len(filled.all()) == 3


@pytest.mark.postgres
def test_postgresql_refuses_to_truncate_even_as_a_replica(new_database, tmp_path, tampered_at):
    filled = tampered_at(new_database().replace("postgresql://", "postgresql+psycopg2://"), tmp_path)
    filled.fill(3)
    for statements in (["TRUNCATE journal"], ["SET session_replication_role = replica", "DELETE FROM journal"]):
        with pytest.raises(DBAPIError, match="append-only"):
            filled.run(*statements)
    assert len(filled.all()) == 3


def test_a_changed_row_is_not_served(filled):
    rows = filled.all()
    rows[4]["payload"] = '{"number":99}'
    filled.put(rows)
    with pytest.raises(JournalDamaged, match="Row 5 of the journal is not what was written"):
        list(filled.journal.rows())
    assert [row.sequence for row in filled.journal.rows(after=5)] == list(range(6, 13))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"kind": "Note"}, "names no kind"),
        ({"kind": ""}, "names no kind"),
        ({"subject": " "}, "subject of an entry"),
        ({"subject": None}, "subject of an entry"),
        ({"actor": "x\x00"}, "actor of an entry"),
        ({"payload": {"f1": float("nan")}}, "payload.f1 is nan"),
        ({"payload": {"a": [1, {"b": float("inf")}]}}, r"payload.a\[1\].b is inf"),
        ({"payload": {1: "x"}}, "JSON's keys are texts"),
        ({"payload": {"at": datetime(2024, 1, 1)}}, "payload.at .* datetime is no JSON value"),
        ({"payload": {"text": "\ud800"}}, "half a character"),
        ({"payload": {"a\x00": 1}}, "half a character or NUL"),
        ({"payload": {"set": {1}}}, "set is no JSON value"),
    ],
)
def test_what_would_not_read_the_same_again_is_refused(make_entry, changed, says):
    with pytest.raises(EntryRefused, match=says):
        make_entry(**changed)


@pytest.mark.parametrize("key", ["", " ", "a\x00"])
def test_a_key_that_says_nothing_is_refused(tampered, make_entry, key):
    with pytest.raises(EntryRefused, match="key of an entry"):
        tampered.journal.append_once(key, make_entry())


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_every_json_value_comes_back_as_it_went_in(request, database, tmp_path):
    url = sqlite_url(tmp_path / "j.db") if database == "sqlite" else request.getfixturevalue("new_database")()
    journal = Journal(url, FileAnchor(tmp_path / "anchor"), clock=FixedClock(datetime(2024, 1, 1, tzinfo=UTC)))

    @given(st.dictionaries(texts, json_values, max_size=4), texts.filter(str.strip))
    def law(payload, subject):
        row = journal.append(Entry(kind="note", subject=subject, actor="a", payload=payload))
        assert journal.newest(1) == [row]
        assert json.dumps(row.payload, sort_keys=True) == json.dumps(payload, sort_keys=True)
        assert row.subject == subject

    law()
    assert journal.verify() == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    strategy: str
    share: float
    windows: tuple[datetime, ...] = ()


class Approval(BaseModel, frozen=True):
    who: str


def test_a_kind_keeps_values_of_its_type(tampered):
    steps, approvals = Kind("rollout_step", Step), Kind("approval", Approval)
    step = Step(strategy="demo", share=0.1, windows=(datetime(2024, 1, 2), datetime(2024, 1, 3)))
    row = tampered.journal.append(steps.entry(step, subject="demo", actor="a"))
    assert steps.of(row) == step
    assert row.payload["windows"] == ["2024-01-02T00:00:00", "2024-01-03T00:00:00"]
    other = tampered.journal.append(approvals.entry(Approval(who="b"), subject="demo", actor="a"))
    assert approvals.of(other) == Approval(who="b")
    with pytest.raises(EntryRefused, match="Row 2 is a approval"):
        steps.of(other)


@pytest.mark.parametrize("payload", [{"strategy": "demo"}, {"strategy": "demo", "share": 1.0, "more": 1}])
def test_a_row_that_is_not_of_its_kind_is_refused(tampered, make_entry, payload):
    row = tampered.journal.append(make_entry(kind="rollout_step", payload=payload))
    with pytest.raises(JournalDamaged, match="Row 1 does not hold a Step"):
        Kind("rollout_step", Step).of(row)


def test_a_kind_refuses_a_number_that_is_none():
    with pytest.raises(EntryRefused, match=r"payload.share is nan"):
        Kind("rollout_step", Step).entry(Step(strategy="demo", share=float("nan")), subject="demo", actor="a")


def test_tables_of_a_later_version_are_left_alone(tampered, make_entry):
    tampered.journal.append(make_entry())
    tampered.run("UPDATE journal_migrations SET version_num = 'journal_9999'")
    with pytest.raises(DatabaseIsNewer, match=r"journal_9999.*Run the newer code"):
        tampered.again()


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path):
    url = "postgresql+psycopg2://user:secret9@127.0.0.1:1/base"
    with pytest.raises(DatabaseFailed, match=r"user:\*\*\*@127.0.0.1:1/base") as failed:
        Journal(url, FileAnchor(tmp_path / "anchor"), clock=FixedClock(datetime(2024, 1, 1, tzinfo=UTC)))
    assert "secret9" not in str(failed.value)


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "journal.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(DatabaseDamaged, match=r"journal.db is damaged"):
        Journal(
            sqlite_url(tmp_path / "journal.db"),
            FileAnchor(tmp_path / "anchor"),
            clock=FixedClock(datetime(2024, 1, 1, tzinfo=UTC)),
        )
