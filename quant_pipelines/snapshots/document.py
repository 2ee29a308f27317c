"""What a snapshot froze, as one immutable JSON document named by its content."""

import json
from datetime import datetime
from typing import Any, Literal

from pydantic import ValidationError

from quant_pipelines.calendars import Calendar, Session, calendar_named
from quant_pipelines.digest import digest_bytes, digest_json
from quant_pipelines.documents import Entry
from quant_pipelines.journal.entries import payload_text
from quant_pipelines.lake import Window
from quant_pipelines.snapshots.failures import SnapshotDamaged
from quant_pipelines.strategies import Choice, Normalisation

FORMAT = 1
Purpose = Literal["train", "infer"]


class FrozenTable(Entry, frozen=True):
    """The sessions of one table that were used, each with its content id; `listing` is the blob that names them."""

    table: str
    columns: tuple[str, ...]
    first: Session
    last: Session
    sessions: int
    listing: str
    data_version: str


class FrozenFeature(Entry, frozen=True):
    """A column of the block: its feature, where it comes from, and the version of its definition."""

    name: str
    table: str
    version: str


class Membership(Entry, frozen=True):
    """A symbol that belongs from one session to another; None: without end."""

    symbol: str
    first: Session | None
    last: Session | None


class RowFilter(Entry, frozen=True):
    """Which rows count: the strategy's choice, and whom it means, by date, where it names an index."""

    choice: Choice
    members: tuple[Membership, ...] | None = None
    untradable: Literal["leave_out", "keep"] = "leave_out"


class FrozenLabels(Entry, frozen=True):
    """The labels learned from: only those of signals whose span had closed at the cutoff."""

    label_set: str
    span_sessions: int
    table: FrozenTable


class Recipe(Entry, frozen=True):
    """Everything that decides the arrays, known before they are made.

    Signals are taken from `window`; the sessions before it, from `reads_from` on, only complete its sequences.
    `begun` are symbols without a row in the first session read that had one before: holes are theirs from there on.
    `trained_on` is the training snapshot whose columns and scale an inference uses.
    """

    format: Literal[1] = FORMAT
    purpose: Purpose
    market: str
    calendar: str
    bar: str
    strategy: str
    configuration: dict[str, Any]
    configuration_id: str
    code_version: str
    cutoff: Session
    window_first: Session
    reads_from: Session
    sequence_sessions: int
    features: tuple[FrozenFeature, ...]
    tables: tuple[FrozenTable, ...]
    row_filter: RowFilter
    begun: tuple[str, ...] = ()
    labels: FrozenLabels | None = None
    validation_share: float | None = None
    normalisation: Normalisation
    trained_on: str | None = None

    @property
    def id(self) -> str:
        return digest_json(self.model_dump(mode="json"))

    @property
    def sessions_calendar(self) -> Calendar:
        return calendar_named(self.calendar, self.bar)

    @property
    def axis(self) -> list[Session]:
        """Every session that is read."""
        return self.sessions_calendar.sessions(self.reads_from, self.cutoff)

    @property
    def reads(self) -> Window:
        return Window(self.reads_from, self.cutoff)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.features)

    @property
    def all_tables(self) -> tuple[FrozenTable, ...]:
        return self.tables if self.labels is None else (*self.tables, self.labels.table)


class Part(Entry, frozen=True):
    """A part of the split: its first and last signal, and how many rows."""

    first: Session
    last: Session
    rows: int


class FrozenSplit(Entry, frozen=True):
    """Training, validation and holdout with gaps between them, or the reason why there is no such split (X-19)."""

    status: str
    reason: str
    train: Part | None
    validation: Part | None
    holdout: Part | None


class FrozenNormaliser(Entry, frozen=True):
    """What the scale was fitted on, and columns that gave none; the numbers are the arrays `centre` and `scale`."""

    fitted_on: str
    rows: int
    constant: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


class FrozenArray(Entry, frozen=True):
    """One stored array; `blob` is its file's content id."""

    name: str
    blob: str
    type: str
    shape: tuple[int, ...]


class Outcome(Entry, frozen=True):
    """What the recipe gave. `left_out` counts the rows of the window that are no samples, by reason."""

    arrays: tuple[FrozenArray, ...]
    rows: int
    symbols: int
    samples: int
    left_out: dict[str, int]
    split: FrozenSplit | None
    normaliser: FrozenNormaliser

    def array(self, name: str) -> FrozenArray | None:
        return next((each for each in self.arrays if each.name == name), None)


class Provenance(Entry, frozen=True):
    """Who made it, when, and from which versions of the lake's tables; no part of the id."""

    created_at: datetime
    who: str
    run_id: str | None = None
    table_versions: dict[str, int]


class Document(Entry, frozen=True):
    """A snapshot: its recipe, what came of it, and where it came from."""

    recipe: Recipe
    outcome: Outcome
    provenance: Provenance

    @property
    def id(self) -> str:
        """`train_lineage_id` or `infer_lineage_id`."""
        return digest_json([self.recipe.model_dump(mode="json"), self.outcome.model_dump(mode="json")])

    @property
    def blobs(self) -> tuple[str, ...]:
        listings = [each.listing for each in self.recipe.all_tables]
        return tuple(sorted({*listings, *(each.blob for each in self.outcome.arrays)}))

    def encoded(self) -> bytes:
        """One text for one document, sealed by a digest of all of it."""
        value = self.model_dump(mode="json")
        return payload_text({**value, "id": self.id, "seal": digest_json(value)}).encode()


def decoded(content: bytes, name: str, snapshot_id: str) -> Document:
    """The document; whatever is not byte for byte what was written is refused."""
    try:
        value = json.loads(content)
        document = Document.model_validate({key: value[key] for key in ("recipe", "outcome", "provenance")})
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise _damaged(name, snapshot_id, digest_bytes(content)) from error
    if document.encoded() != content or document.id != snapshot_id:
        raise _damaged(name, snapshot_id, digest_bytes(content))
    return document


def _damaged(name: str, expected: str, found: str) -> SnapshotDamaged:
    return SnapshotDamaged(
        f"{name} is not the document of snapshot {expected[:16]} that was written; its bytes have the digest "
        f"{found[:16]}. Restore it from a backup, or delete it and build the snapshot again."
    )
