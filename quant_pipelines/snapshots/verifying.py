"""Is a snapshot what was written, and what the lake says it was? Every byte is looked at again."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from quant_pipelines.calendars import Session, session_key
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.lake import FileDamaged, Lake, UnknownVersion, Window
from quant_pipelines.snapshots.building import scale_of
from quant_pipelines.snapshots.deriving import derived
from quant_pipelines.snapshots.document import Document, FrozenTable
from quant_pipelines.snapshots.failures import SnapshotDamaged
from quant_pipelines.snapshots.gathering import TableAt
from quant_pipelines.snapshots.inputs import listed
from quant_pipelines.snapshots.store import SnapshotStore, blob_id

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not what the snapshot says: where, in which session, and both content ids."""

    where: str
    session: Session | None
    expected: str
    found: str

    def __str__(self) -> str:
        when = "" if self.session is None else f" in {session_key(self.session)}"
        return f"{self.where}{when}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Verifier:
    """Verifies snapshots of one store against one lake."""

    lake: Lake
    store: SnapshotStore
    threads: int = 1
    tell: Progress = lambda _what: None

    def verify(self, snapshot_id: str) -> list[Finding]:
        """Everything that is not equal; nothing where every byte is."""
        try:
            document = self.store.document(snapshot_id)
        except SnapshotDamaged as damage:
            return [Finding(f"document {snapshot_id[:16]}", None, snapshot_id, str(damage))]
        self.tell("stored files")
        found = list(self._files(document))
        damaged = {each.expected for each in found}
        for table in document.recipe.all_tables:
            if table.listing not in damaged:
                self.tell(f"table {table.table}")
                found += self._table(document, table)
        # Arrays cannot be told from tables that are not what they were.
        if not found:
            self.tell("arrays")
            found += self._arrays(document)
        return found

    def _files(self, document: Document) -> Iterator[Finding]:
        arrays = {each.blob: f"array {each.name}" for each in document.outcome.arrays}
        listings = {each.listing: f"listing of {each.table}" for each in document.recipe.all_tables}
        for blob, what in {**listings, **arrays}.items():
            damage = self.store.blob_damage(blob)
            if damage is not None:
                yield Finding(f"file of {what}", None, blob, damage)

    def _table(self, document: Document, table: FrozenTable) -> Iterator[Finding]:
        """Content ids derived from the rows themselves, read at the version that was frozen."""
        name = f"table {document.recipe.market}/{table.table}"
        expected = listed(self.store.text(table.listing))
        opened = self._opened(document, table)
        if opened is None:
            yield Finding(name, None, table.data_version, "no such table")
            return
        for _, sessions in groupby(expected, key=lambda each: (each.year, each.month)):
            yield from _month(name, opened, {each: expected[each] for each in sessions})

    def _opened(self, document: Document, table: FrozenTable) -> TableAt | None:
        found = self.lake.stored(document.recipe.market, table.table)
        version = document.provenance.table_versions[table.table]
        return None if found is None else TableAt(found, version, self.threads)

    def _arrays(self, document: Document) -> Iterator[Finding]:
        opened = {each.table: self._opened(document, each) for each in document.recipe.all_tables}
        tables = {name: each for name, each in opened.items() if each is not None}
        trained = document.recipe.trained_on
        try:
            scale = None if trained is None else scale_of(self.store.document(trained), self.store)
            again = derived(document.recipe, tables, scale=scale, threads=self.threads)
        except QuantPipelinesError as error:
            yield Finding("arrays", None, document.id, f"nothing that could be made: {error}")
            return
        for each in document.outcome.arrays:
            draft = again.drafts.get(each.name)
            found = "no such array" if draft is None else blob_id(draft.content.data, self.threads)
            if found != each.blob:
                yield Finding(f"array {each.name}", None, each.blob, found)
        counted = (again.layout.rows, again.samples, dict(again.left_out), again.split, again.normaliser)
        outcome = document.outcome
        written = (outcome.rows, outcome.samples, outcome.left_out, outcome.split, outcome.normaliser)
        if counted != written:
            yield Finding("counts and split", None, str(written), str(counted))


def _month(name: str, opened: TableAt, expected: Mapping[Session, str]) -> Iterator[Finding]:
    """The sessions of one month, which is what a file holds at most: damage stays where it is."""
    window = Window(min(expected), max(expected))
    try:
        rows = opened.read(window, opened.table.schema.names)
    except FileDamaged as damage:
        lost = sorted(set(damage.sessions) & expected.keys())
        for session in lost:
            yield Finding(name, session, expected[session], f"a damaged file, {damage.path}")
        # A month may lie in several files: the sessions of the others are looked at one by one.
        rest = [each for each in expected if each not in lost] if lost and len(expected) > 1 else []
        for session in rest:
            yield from _month(name, opened, {session: expected[session]})
        return
    except UnknownVersion as unknown:
        yield Finding(name, window.first, expected[window.first], str(unknown))
        return
    ids = opened.table.ids_of(rows) if rows.num_rows else {}
    for session, content in expected.items():
        if ids.get(session) != content:
            yield Finding(name, session, content, ids.get(session, "no rows"))
