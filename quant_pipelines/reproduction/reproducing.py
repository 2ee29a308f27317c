"""A decision on record, done again: its data verified, its candidate trained, judged and decided about once more.

Nothing is put on record. Reading the same rows again for the same candidate is no new chance for luck, so it is no look
at the holdout; nor is the training a trial.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from quant_pipelines.calendars import Session
from quant_pipelines.deployment import Decision, decide
from quant_pipelines.errors import OperatorActionRequired, QuantPipelinesError, StoreDamaged
from quant_pipelines.evaluation.evidence import Evidence, Seen
from quant_pipelines.holdout import Before, Exchange, Looks, Reader
from quant_pipelines.registry import ModelStore, Version
from quant_pipelines.registry.failures import UnknownVersion
from quant_pipelines.reproduction.checks import Check, check, decision_checks, evidence_checks
from quant_pipelines.reproduction.retraining import EXACT, Again, Retrainer
from quant_pipelines.serving import Forecasts, Stored, answers, stored_version
from quant_pipelines.snapshots import UnknownSnapshot, load
from quant_pipelines.snapshots.verifying import Verifier

Verdict = Literal["same", "different", "incomplete"]
# What a stored thing that is gone, tampered with or not for this code ends a step with.
_GONE = (OperatorActionRequired, StoreDamaged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """Everything that was compared; `missing` says what could not be, and why. `tolerance` is None where nothing was
    trained, so nothing was asked for."""

    decision: Decision
    tolerance: float | None
    differences: tuple[str, ...]
    checks: tuple[Check, ...]
    missing: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        if any(each.outcome == "different" for each in self.checks):
            return "different"
        return "incomplete" if self.missing else "same"


@dataclass(frozen=True, eq=False, kw_only=True)
class Reproducer:
    """Reproduces decisions of one market. `tell` hears which step has begun."""

    models: ModelStore
    retrainer: Retrainer
    verifier: Verifier
    exchange: Exchange
    tell: Callable[[str], None] = lambda _what: None

    def reproduce(self, decision: Decision) -> Reproduction:
        """Do everything again that can be done with what is still there."""
        attempt = _Attempt(self, decision)
        attempt.run()
        return Reproduction(
            decision=decision,
            tolerance=None if attempt.again is None else attempt.again.tolerance,
            differences=() if attempt.again is None else attempt.again.differences,
            checks=tuple(attempt.checks),
            missing=tuple(attempt.missing),
        )


@dataclass(eq=False)
class _Attempt:
    """One decision, as far as it has been done again."""

    reproducer: Reproducer
    decision: Decision
    checks: list[Check] = field(default_factory=list[Check])
    missing: list[str] = field(default_factory=list[str])
    again: Again | None = None

    @property
    def evidence(self) -> Evidence:
        return self.decision.evidence

    def run(self) -> None:
        """Step by step; each says itself what it could not do."""
        self._rule()
        candidate = self._stored("candidate", self.evidence.candidate)
        champion = self._stored("champion", self.evidence.champion)
        intact = self._snapshot()
        if candidate is None or not intact:
            self.missing.append("Nothing was trained and no holdout was read again.")
            return
        self.again = self._trained(candidate)
        if self.again is None:
            return
        if self.evidence.champion is not None and champion is None:
            self.missing.append("The holdout was not read again: there is nobody to compare the candidate with.")
            return
        self._judged(self.again, champion)

    def _rule(self) -> None:
        """What is on record is enough to ask the rule once more, whatever else is gone."""
        self.reproducer.tell("deciding again by the numbers on record")
        found = decide(self.evidence, self.decision.policy)
        self.checks += decision_checks("rule", self.decision, found, EXACT)

    def _stored(self, role: str, seen: Seen | None) -> Stored | None:
        if seen is None:
            return None
        self.reproducer.tell(f"verifying the {role} {seen.version}")
        try:
            version = self._version(seen)
            return stored_version(self.reproducer.models, self.reproducer.retrainer.snapshots, version)
        except _GONE as error:
            self.missing.append(f"The {role} {seen.version} cannot be used: {_told(error)}")
            return None

    def _version(self, seen: Seen) -> Version:
        versions = self.reproducer.models.versions(self.decision.model)
        found = next((each for each in versions if each.id == seen.version_id), None)
        if found is None:
            raise UnknownVersion(f"The store has no version with the content {seen.version_id[:16]} any more.")
        return found

    def _snapshot(self) -> bool:
        """Every byte, derived again from the lake."""
        named = self.evidence.snapshot_id
        verifier = replace(
            self.reproducer.verifier, tell=lambda what: self.reproducer.tell(f"verifying the snapshot's {what}")
        )
        try:
            findings = verifier.verify(named)
        except _GONE as error:
            self.missing.append(f"Snapshot {named[:16]} cannot be used: {_told(error)}")
            return False
        self.checks += [
            Check(part="data", name=each.where, recorded=each.expected, found=each.found, outcome="different")
            for each in findings
        ]
        if not findings:
            self.checks.append(check("data", "snapshot", named, named))
        return not findings

    def _trained(self, candidate: Stored) -> Again | None:
        self.reproducer.tell(f"training {candidate.version.name} again")
        self.checks.append(check("data", "trained on", candidate.manifest.snapshot_id, self.evidence.snapshot_id))
        try:
            again = self.reproducer.retrainer.again(candidate)
        except _GONE as error:
            self.missing.append(f"{candidate.version.name} cannot be trained here, nor judged: {_told(error)}")
            return None
        self.checks += again.checks
        return again

    def _judged(self, again: Again, champion: Stored | None) -> None:
        """The holdout and the decision, with what was trained now."""
        self.reproducer.tell("reading the holdout again")
        reader = Reader(
            store=self.reproducer.retrainer.snapshots,
            exchange=self._exchange(),
            answers=self._answers,
            machine=self.reproducer.retrainer.machine,
        )
        before = Before(
            looks=Looks(others=self.evidence.reads, times=0),
            trials=self.evidence.trials,
            incremental=self.evidence.incremental,
        )
        try:
            found = reader.read(reader.pair(replace(again.stored, model=again.model), champion), before)
        except _GONE as error:
            self.missing.append(f"The holdout was not read again: {_told(error)}")
            return
        decided = decide(found.evidence, self.decision.policy)
        self.checks += evidence_checks(self.evidence, decided.evidence, again.tolerance)
        self.checks += decision_checks("decision", self.decision, decided, again.tolerance)

    def _exchange(self) -> Exchange:
        """With the prices that were traded at then; today's where they are gone, which is told."""
        exchange, evidence = self.reproducer.exchange, self.evidence
        if evidence.first_session is None or evidence.last_session is None or "prices" not in evidence.data:
            return exchange
        found = exchange.as_quoted(evidence.first_session, evidence.last_session, evidence.data["prices"])
        if found is None:
            self.missing.append(
                f"The lake has no version of the prices {evidence.data['prices'][:16]} any more, so the candidate "
                "traded at today's."
            )
        return found or exchange

    def _answers(self, champion: Stored, first: Session, last: Session) -> Forecasts:
        """From the very inference that it was asked about then."""
        del first, last
        snapshots, asked = self.reproducer.retrainer.snapshots, self.evidence.data.get("champion")
        if asked is None:
            raise UnknownSnapshot("The decision does not say which inference the champion was asked about.")
        return answers(champion, load(snapshots, snapshots.document(asked)), self.reproducer.retrainer.machine)


def _told(error: QuantPipelinesError) -> str:
    return f"{error.code} {error}"
