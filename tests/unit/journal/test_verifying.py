"""Target S7: edit, delete, insert, swap, truncate, rewrite: all found, and named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.digest import digest_json
from quant_pipelines.journal import GENESIS, AnchorMissing, Finding, Head, JournalDamaged, Tampering
from quant_pipelines.journal.entries import Stored
from quant_pipelines.journal.verifying import findings

FIELDS = ("key", "kind", "subject", "actor", "payload", "recorded_at")


def rehashed(rows, first):
    """The rows with numbers and hashes made anew from this position on, as one who knows the recipe would."""
    done = [dict(row) for row in rows]
    previous = done[first - 1]["hash"] if first else GENESIS.hash
    for position in range(first, len(done)):
        row = done[position]
        row |= {"sequence": position + 1, "previous": previous}
        row["hash"] = digest_json({name: value for name, value in row.items() if name != "hash"})
        previous = row["hash"]
    return done


def chain(count):
    rows = [
        {
            "sequence": number,
            "key": None,
            "kind": "note",
            "subject": "demo",
            "actor": "a",
            "payload": f'{{"number":{number}}}',
            "recorded_at": f"2024-01-01T00:00:{number:02d}.000000+00:00",
        }
        for number in range(1, count + 1)
    ]
    return rehashed(rows, 0)


def renumbered(rows):
    return [row | {"sequence": number} for number, row in enumerate(rows, start=1)]


def forged(row):
    """A row of the same number that says something else, whole in itself."""
    row = row | {"payload": '{"forged":true}'}
    return row | {"hash": digest_json({name: value for name, value in row.items() if name != "hash"})}


def verified(rows, *witnesses):
    places = {row["hash"]: row["sequence"] for row in rows}
    return [(each.what, each.first, each.last) for each in findings(map(_stored, rows), witnesses, places.get)]


def _stored(row):
    return Stored(**row)


def head_of(rows):
    return Head(len(rows), rows[-1]["hash"])


sizes = st.integers(4, 40)


@st.composite
def positions(draw, *, count=1):
    """A chain's length and distinct positions inside it, neither its first nor its last row."""
    size = draw(st.integers(count + 4, 40))
    return size, sorted(draw(st.lists(st.integers(1, size - 2), min_size=count, max_size=count, unique=True)))


@given(sizes)
def test_an_untouched_chain_is_accepted(size):
    rows = chain(size)
    assert verified(rows, head_of(rows)) == []
    assert verified(rows, *(Head(row["sequence"], row["hash"]) for row in rows)) == []


@given(positions(), st.sampled_from(FIELDS), st.booleans())
def test_an_edited_row_is_named(drawn, field, hash_too):
    size, (at,) = drawn
    rows = chain(size)
    anchor = head_of(rows)
    rows[at] = rows[at] | {field: "something else"}
    if hash_too:
        rows[at]["hash"] = digest_json({name: value for name, value in rows[at].items() if name != "hash"})
    assert verified(rows, anchor) == [(Tampering.CHANGED, at + 1, at + 1)]


@given(sizes, st.sampled_from(["previous", "hash"]), st.data())
def test_a_broken_link_is_named(size, field, data):
    rows = chain(size)
    at = data.draw(st.integers(0, size - 1))
    anchor = head_of(rows)
    rows[at] = rows[at] | {field: "f" * 64}
    assert verified(rows, anchor) == [(Tampering.CHANGED, at + 1, at + 1)]


@given(sizes)
def test_an_edited_newest_row_is_named_even_with_a_fitting_hash(size):
    rows = chain(size)
    anchor = head_of(rows)
    rows[-1] = forged(rows[-1])
    assert verified(rows, anchor) == [(Tampering.REWRITTEN, size, size)]


@given(positions(), st.integers(1, 3), st.booleans())
def test_removed_rows_are_named(drawn, count, close_the_gap):
    size, (at,) = drawn
    rows = chain(size)
    anchor = head_of(rows)
    count = min(count, size - 1 - at)
    left = rows[:at] + rows[at + count :]
    assert verified(renumbered(left) if close_the_gap else left, anchor) == [(Tampering.REMOVED, at + 1, at + count)]


@given(positions(), st.booleans(), st.booleans())
def test_an_inserted_row_is_named(drawn, with_a_fitting_hash, linked):
    size, (at,) = drawn
    rows = chain(size)
    anchor = head_of(rows)
    new = rows[at] | {"previous": "a" * 64, "hash": "f" * 64}
    if with_a_fitting_hash:
        new = forged(rows[at] if linked else new)
    assert verified(renumbered([*rows[:at], new, *rows[at:]]), anchor) == [(Tampering.INSERTED, at + 1, at + 1)]


@pytest.mark.parametrize("number", [0, -7])
def test_a_row_before_the_first_is_named(number):
    rows = chain(5)
    assert verified([rows[2] | {"sequence": number}, *rows], head_of(rows)) == [(Tampering.INSERTED, number, number)]


@given(positions(count=2))
def test_swapped_rows_are_named(drawn):
    size, (one, other) = drawn
    rows = chain(size)
    anchor = head_of(rows)
    rows[one], rows[other] = rows[other], rows[one]
    assert verified(renumbered(rows), anchor) == [(Tampering.SWAPPED, one + 1, other + 1)]


@given(sizes, st.data())
def test_a_cut_off_end_is_named(size, data):
    rows = chain(size)
    left = data.draw(st.integers(0, size - 1))
    assert verified(rows[:left], head_of(rows)) == [(Tampering.TRUNCATED, left + 1, size)]


@given(sizes, st.data())
def test_a_chain_that_was_written_anew_is_found(size, data):
    rows = chain(size)
    first = data.draw(st.integers(0, size - 1))
    anchor = head_of(rows)
    rows[first] = rows[first] | {"actor": "me"}
    rows = rehashed(rows, first)
    assert verified(rows) == [], "without an anchor nobody can tell"
    assert verified(rows, anchor) == [(Tampering.REWRITTEN, size, size)]


@given(sizes, st.data())
def test_an_older_witness_is_enough_for_what_it_has_seen(size, data):
    """The head that a decision left with its model is one."""
    rows = chain(size)
    seen = data.draw(st.integers(1, size))
    witness = Head(seen, rows[seen - 1]["hash"])
    first = data.draw(st.integers(0, size - 1))
    anew = rehashed([*rows[:first], rows[first] | {"actor": "me"}, *rows[first + 1 :]], first)
    assert verified(anew, witness) == ([(Tampering.REWRITTEN, seen, seen)] if first < seen else [])


@given(st.integers(2, 12), st.data())
def test_whatever_is_done_to_rows_below_the_anchor_something_is_found(size, data):
    """Permuted, dropped, doubled, edited, forged, in any combination."""
    rows = chain(size)
    choices = st.tuples(st.integers(0, size - 1), st.sampled_from(["as it is", "edited", "forged"]))
    touched = []
    for at, how in data.draw(st.lists(choices, max_size=size + 2)):
        touched.append({"as it is": rows[at], "edited": rows[at] | {"actor": "x"}, "forged": forged(rows[at])}[how])
    result = renumbered(touched) if data.draw(st.booleans()) else sorted(touched, key=lambda row: row["sequence"])
    assert bool(verified(result, head_of(rows))) == (result != rows)


def test_two_witnesses_that_contradict_each_other_are_found():
    rows = chain(5)
    assert verified(rows, head_of(rows), Head(5, "f" * 64)) == [(Tampering.REWRITTEN, 5, 5)]


def test_findings_are_sentences():
    said = {str(Finding(3, 5, what)) for what in Tampering} | {str(Finding(3, 3, Tampering.CHANGED))}
    assert "changed: row 3 is not what was written: the content does not have the hash that the chain has" in said
    assert "swapped: rows 3 and 5 have changed places" in said
    assert not any("{" in each for each in said)


def edit(rows):
    rows[4]["payload"] = '{"number":99}'
    return rows


DONE = {
    "edit": (edit, Finding(5, 5, Tampering.CHANGED)),
    "edit with its hash": (lambda rows: [*rows[:4], forged(rows[4]), *rows[5:]], Finding(5, 5, Tampering.CHANGED)),
    "delete": (lambda rows: rows[:4] + rows[5:], Finding(5, 5, Tampering.REMOVED)),
    "delete and renumber": (lambda rows: renumbered(rows[:4] + rows[5:]), Finding(5, 5, Tampering.REMOVED)),
    "insert": (
        lambda rows: renumbered([*rows[:4], forged(rows[4] | {"previous": "a" * 64}), *rows[4:]]),
        Finding(5, 5, Tampering.INSERTED),
    ),
    "swap": (
        lambda rows: renumbered([*rows[:2], rows[6], *rows[3:6], rows[2], *rows[7:]]),
        Finding(3, 7, Tampering.SWAPPED),
    ),
    "truncate": (lambda rows: rows[:9], Finding(10, 12, Tampering.TRUNCATED)),
    "remove all": (lambda _: [], Finding(1, 12, Tampering.TRUNCATED)),
    "rewrite": (
        lambda rows: rehashed([rows[0] | {"actor": "me"}, *rows[1:]], 0),
        Finding(12, 12, Tampering.REWRITTEN),
    ),
}


@pytest.mark.parametrize("what", DONE)
def test_tampering_with_the_database_is_found(filled, what):
    """S7, on both databases; the control first, and again once the rows are back."""
    rows = filled.all()
    assert filled.journal.verify() == []
    tamper, expected = DONE[what]
    filled.put(tamper([dict(row) for row in rows]))
    anchored = filled.anchor.read()
    found = filled.again().verify()
    # What was removed before the end leaves the anchored row in place, under the number its hash says.
    assert found == [expected]
    assert filled.anchor.read() == anchored, "what was found stays found"
    filled.put(rows)
    assert filled.again().verify() == []


@pytest.mark.parametrize("what", ["truncate", "remove all", "rewrite"])
def test_nothing_is_chained_to_what_the_anchor_has_not_seen(filled, make_entry, what):
    """Another row would move the anchor, and cover up what happened."""
    filled.put(DONE[what][0](filled.all()))
    with pytest.raises(JournalDamaged, match=r"Row 12 of .* is not the one that was anchored"):
        filled.again().append(make_entry())


def test_an_anchor_that_lags_is_a_crash_and_no_tampering(filled, make_entry):
    rows = list(filled.journal.rows())
    for behind in (GENESIS, rows[3].head):
        filled.anchor.replace(behind)
        assert filled.again().verify() == []
        assert filled.anchor.read() == rows[-1].head, "the tail is accepted, and anchored"
    filled.anchor.replace(rows[3].head)
    assert filled.again().append(make_entry()).sequence == 13


def test_a_missing_anchor_is_said_and_a_person_may_set_it_anew(filled, make_entry):
    filled.anchor.path.unlink()
    journal = filled.again()
    assert [each.what for each in journal.verify()] == [Tampering.UNANCHORED]
    with pytest.raises(AnchorMissing, match="rows up to 12"):
        journal.append(make_entry())
    row = journal.anchor_anew(actor="alice", reason="a new machine")
    assert (row.kind, row.payload["reason"], row.sequence) == ("journal_anchored", "a new machine", 13)
    assert journal.verify() == []
    assert journal.append(make_entry()).sequence == 14


@pytest.mark.parametrize(
    "content", [b"", b"{", b"12", b"\xff\xfe", b'{"sequence": -1, "hash": "00"}', b'{"sequence": true, "hash": 1}']
)
def test_an_anchor_that_holds_anything_else_is_said(filled, make_entry, content):
    filled.anchor.path.write_bytes(content)
    assert [each.what for each in filled.again().verify()] == [Tampering.UNANCHORED]
    with pytest.raises(JournalDamaged, match="anchor"):
        filled.again().append(make_entry())


def test_a_witness_from_elsewhere_is_asked_too(filled):
    """What a run left in MLflow's tags finds a rewrite that moved the anchor with it."""
    witness = filled.journal.head()
    rows = rehashed([dict(row) | {"actor": "me"} for row in filled.all()], 0)
    filled.put(rows)
    filled.anchor.replace(Head(12, rows[-1]["hash"]))
    assert filled.again().verify() == []
    assert filled.again().verify([witness]) == [Finding(12, 12, Tampering.REWRITTEN)]


def test_bytes_that_are_no_text_are_named(tmp_path, tampered_at):
    """A bit that flipped in the file; PostgreSQL would not serve it."""
    filled = tampered_at(f"sqlite:///{tmp_path}/journal.db", tmp_path)
    filled.fill(3)
    rows = filled.all()
    for broken in ("CAST(x'ff' AS TEXT)", "x'ff'"):
        filled.put(rows)
        filled.run(f"UPDATE journal SET payload = {broken} WHERE sequence = 2")  # noqa: S608 - one of the two above
        assert filled.again().verify() == [Finding(2, 2, Tampering.CHANGED)]
