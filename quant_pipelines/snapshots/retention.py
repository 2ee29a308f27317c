"""What may go: snapshots that nothing cites and that are not among a strategy's newest. Nothing goes unplanned."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from quant_pipelines.calendars import session_key
from quant_pipelines.clock import Clock
from quant_pipelines.digest import digest_json
from quant_pipelines.journal import Entry, Journal
from quant_pipelines.journal.entries import payload_text
from quant_pipelines.lineage import Known, Lineage, UnknownNode
from quant_pipelines.snapshots.document import Document
from quant_pipelines.snapshots.failures import PlanChanged
from quant_pipelines.snapshots.store import SnapshotStore

# The newest of each strategy and purpose stay: the next comparison needs two of them.
KEEP_NEWEST = 3
RETENTION = "retention"
# No build lasts a day: a file that no document names by then was left by a process that died.
_STALE_AFTER = timedelta(days=1)
_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """One snapshot, and why it stays; without a reason it may go."""

    document: Document
    reasons: tuple[str, ...]

    @property
    def label(self) -> str:
        recipe = self.document.recipe
        return f"{recipe.purpose} {recipe.strategy} {session_key(recipe.cutoff)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What stays and what may go, and the blobs that would go with it. The id names exactly what would go."""

    fates: tuple[Fate, ...]
    blobs: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def going(self) -> tuple[Document, ...]:
        return tuple(each.document for each in self.fates if not each.reasons)

    @property
    def bytes(self) -> int:
        return sum(self.blobs.values())

    @property
    def id(self) -> str:
        return digest_json([sorted(each.id for each in self.going), sorted(self.blobs)])


@dataclass(frozen=True, eq=False, kw_only=True)
class Retention:
    """Plans over one installation. `closed` are models that the registry has trimmed: they pin nothing any more."""

    store: SnapshotStore
    lineage: Lineage
    journal: Journal
    clock: Clock
    closed: Set[str] = frozenset()

    def plan(self) -> Plan:
        """Look at everything; touch nothing."""
        documents = list(self.store.documents())
        newest = _newest(documents)
        cited = self._cited_by_journal()
        fates = tuple(Fate(document=each, reasons=tuple(self._reasons(each, newest, cited))) for each in documents)
        staying = {blob for fate in fates if fate.reasons for blob in fate.document.blobs}
        going = {blob for fate in fates if not fate.reasons for blob in fate.document.blobs}
        before = self.clock.now() - _STALE_AFTER
        blobs = {
            blob: size
            for blob, size in self.store.blobs().items()
            if blob not in staying and (blob in going or self.store.written_at(blob) < before)
        }
        return Plan(fates=fates, blobs=blobs)

    def run(self, plan_id: str, *, actor: str, tell: Callable[[str], None]) -> Plan:
        """Drop what the plan named, if it is still just that; put it on record first."""
        plan = self.plan()
        if not plan.id.startswith(plan_id) or not plan_id:
            raise PlanChanged(
                f"The plan {plan_id[:16]!r} is not what would go now, which is {plan.id[:16]}. "
                "Look at `qp retention plan` again, then run the plan that it shows."
            )
        payload = {
            "plan": plan.id, "snapshots": sorted(each.id for each in plan.going), "blobs": len(plan.blobs),
            "bytes": plan.bytes,
        }  # fmt: skip
        self.journal.append(Entry(kind=RETENTION, subject="snapshots", actor=actor, payload=payload))
        for document in plan.going:
            self.store.forget(document)
            tell(document.id)
        for blob in plan.blobs:
            self.store.drop(blob)
        return plan

    def _reasons(self, document: Document, newest: Set[str], cited: Mapping[str, str]) -> Iterator[str]:
        if document.id in newest:
            yield f"one of the {KEEP_NEWEST} newest"
        if document.id in cited:
            yield cited[document.id]
        for node in self._made_of(document.id):
            if node.id not in self.closed:
                yield f"{node.kind} {node.name} {node.id[:16]} was made of it"

    def _made_of(self, snapshot_id: str) -> Sequence[Known]:
        try:
            return self.lineage.descendants(snapshot_id)
        except UnknownNode:
            return ()  # never recorded, so nothing can have been recorded after it

    def _cited_by_journal(self) -> dict[str, str]:
        """Ids that any row names, but for the record of what retention dropped."""
        cited: dict[str, str] = {}
        for row in self.journal.rows():
            if row.kind != RETENTION:
                for found in _ID.findall(f"{row.subject} {payload_text(row.payload)}"):
                    cited[found] = f"journal row {row.sequence} ({row.kind}) cites it"
        return cited


def _newest(documents: Sequence[Document]) -> Set[str]:
    """The newest of each strategy and purpose, by cutoff and then by when they were made."""

    def target(each: Document) -> tuple[str, str, str]:
        return each.recipe.market, each.recipe.strategy, each.recipe.purpose

    def age(each: Document) -> tuple[datetime, datetime]:
        return each.recipe.cutoff, each.provenance.created_at

    groups = groupby(sorted(documents, key=lambda each: (target(each), age(each))), key=target)
    return {each.id for _, group in groups for each in list(group)[-KEEP_NEWEST:]}
