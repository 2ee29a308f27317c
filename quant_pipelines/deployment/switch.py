"""Moves what is live. One row of the journal is the one moment at which it changes; everything else follows it.

Whoever dies before that row has changed nothing; whoever dies after it has changed everything, and `reconcile` brings
the model store up to date. The row's key is the model's next move, so of two who move at once one gets a conflict.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from quant_pipelines.calendars import Session
from quant_pipelines.deployment.approvals import approvers
from quant_pipelines.deployment.checks import DEFAULT_CHECKS, Checks, loadable, require_compatible, require_healthy
from quant_pipelines.deployment.decision import Decision, cited, decision_key
from quant_pipelines.deployment.failures import (
    ApprovalMissing,
    NotDeployable,
    NothingToRollBack,
    RolloutRaced,
    RolloutUnderway,
    SessionPassed,
    StaleDecision,
)
from quant_pipelines.deployment.ladder import Observation, Step, next_step, stages
from quant_pipelines.deployment.live import (
    EVERYBODY,
    ROLLOUT,
    SHADOW,
    Live,
    Placed,
    Ref,
    Rolled,
    after,
    live_now,
    require_intact,
    rollout_key,
)
from quant_pipelines.deployment.reconcile import Projection, Trace, ignore, path
from quant_pipelines.digest import digest_json
from quant_pipelines.documents import Entry
from quant_pipelines.journal import Journal, KeyTaken, Kind, Row
from quant_pipelines.registry import ModelStore, State, Version
from quant_pipelines.strategies import Deployment

BY_HAND = "by_hand"


class Held(Entry, frozen=True):
    """A step that was not taken, and why (S1-03)."""

    session: Session
    after_move: int
    step: Step


HELD = Kind("rollout_held", Held)


def holds(journal: Journal, model: str) -> list[tuple[Row, Held]]:
    """Every step of a model that was not taken, with the row that says why."""
    return [(row, HELD.of(row)) for row in journal.rows(kind=HELD.name, subject=model)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was to be done, and what is live after it."""

    step: Step
    live: Live


@dataclass(frozen=True, kw_only=True)
class Switch:
    """Moves the models of one journal and one store, on behalf of one actor."""

    journal: Journal
    store: ModelStore
    actor: str
    checks: Checks = DEFAULT_CHECKS
    trace: Trace = ignore

    def deploy(self, decision: Decision, *, session: Session, policy: Deployment | None = None) -> Live:
        """Begin the rollout of a candidate that was decided for. Doing it again changes nothing.

        A first model, and one that goes live unvalidated, serves everybody at once; all others begin at the first
        stage of the policy, which is the decision's where none is given.
        """
        live = self._trusted(decision.model)
        self._require_recorded(decision)
        if live.placed(decision.evidence.candidate.version_id) is not None:
            self.reconcile(decision.model)
            return live
        stage = self._first(live, decision, policy or decision.policy)
        version = self._stored(decision)
        rolled = Rolled(
            number=live.number + 1,
            action="begin",
            version=Ref(number=version.number, id=version.id),
            stage=stage,
            session=session,
            decision=decision.id,
            reason=decision.reason,
        )
        return self._switch(live, rolled, rolled.version)

    def obstacle(self, decision: Decision, policy: Deployment | None = None) -> str | None:
        """What a rollout waits for before it can begin, in words; None where nothing stands in its way."""
        try:
            self._first(live_now(self.journal, decision.model), decision, policy or decision.policy)
        except (ApprovalMissing, NotDeployable, RolloutUnderway, StaleDecision) as error:
            return str(error)
        return None

    def step(self, model: str, observations: Sequence[Observation], policy: Deployment, *, session: Session) -> Taken:
        """Do what `next_step` says: a step up, a roll-back, or nothing, which is put on record too (S1-03)."""
        live = self._trusted(model)
        _require_onward(live, session)
        step = self._next(live, observations, policy, session)
        if step.doing == "step" and step.version is not None and step.to_stage is not None:
            placed = live.candidates[0]
            rolled = Rolled(
                number=live.number + 1,
                action="step",
                version=step.version,
                stage=step.to_stage,
                session=session,
                decision=placed.decision,
                reason=step.text,
            )
            return Taken(step=step, live=self._switch(live, rolled, step.version))
        if step.doing == "roll_back":
            return Taken(step=step, live=self._take_away(live, session, step))
        return Taken(step=step, live=live)

    def consider(
        self, model: str, observations: Sequence[Observation], policy: Deployment, *, session: Session
    ) -> Step:
        """What `step` would do, without doing it; that nothing is to be done is put on record too."""
        return self._next(live_now(self.journal, model), observations, policy, session)

    def roll_back(self, model: str, *, session: Session, reason: str) -> Live:
        """Take away what is furthest in its rollout; where nothing is, bring back the version before the champion."""
        live = self._trusted(model)
        step = Step(doing="roll_back", why="by_hand", text=reason, trigger_rule=BY_HAND)
        return self._take_away(live, session, step)

    def reconcile(self, model: str) -> tuple[str, ...]:
        """Bring the store's aliases and states up to date with the journal, and say what was changed."""
        projection = Projection(journal=self.journal, store=self.store, actor=self.actor, trace=self.trace)
        return projection.reconcile(model)

    def trim(self, model: str, policy: Deployment) -> list[Version]:
        """Let old versions go that no decision names, and say which (S3-14, X-17)."""
        return self.store.trim(model, keep=policy.max_versions, cited=cited(self.journal, model))

    def _first(self, live: Live, decision: Decision, policy: Deployment) -> int:
        """The stage that the rollout begins at; refused where it may not begin now."""
        _require_new(decision, live)
        _require_current(decision, live)
        stage = first_stage(decision, live, policy)
        self._require_free(live, stage)
        self._require_approved(decision, stage, policy)
        return stage

    def _next(self, live: Live, observations: Sequence[Observation], policy: Deployment, session: Session) -> Step:
        step = next_step(live, observations, policy, approvals=self._approvals(live, policy))
        if step.doing in {"hold", "skip"}:
            held = Held(session=session, after_move=live.number, step=step)
            key = f"rollout_held:{live.model}:{digest_json(held.model_dump(mode='json'))}"
            self.journal.append_once(key, HELD.entry(held, subject=live.model, actor=self.actor))
        return step

    def _take_away(self, live: Live, session: Session, step: Step) -> Live:
        going, back_to = who_goes(live)
        rolled = Rolled(
            number=live.number + 1,
            action="roll_back",
            version=going.version,
            stage=going.stage,
            session=session,
            decision=going.decision,
            reason=step.text,
            back_to=back_to.version,
            trigger_rule=step.trigger_rule,
            windows_failed=step.windows_failed,
        )
        return self._switch(live, rolled, back_to.version)

    def _switch(self, live: Live, rolled: Rolled, target: Ref) -> Live:
        """S2-86, in this order: compatibility, strategy, health, traffic. `target` is who serves more afterwards."""
        _require_onward(live, rolled.session)
        packed = loadable(self.store, live.model, target)
        require_compatible(self.checks, packed)
        self.trace("compatible")
        entry = ROLLOUT.entry(rolled, subject=live.model, actor=self.actor)
        self.trace("applied")
        require_healthy(self.checks, packed)
        self.trace("healthy")
        try:
            row = self.journal.append_once(rollout_key(live.model, rolled.number), entry)
        except KeyTaken as error:
            raise self._raced(live.model, rolled.number) from error
        self.trace("switched")
        self.reconcile(live.model)
        return after(live, row)

    def _raced(self, model: str, number: int) -> RolloutRaced:
        row = self.journal.with_key(rollout_key(model, number))
        if row is None:
            return RolloutRaced(model, 0, "nothing any more")
        won = ROLLOUT.of(row)
        return RolloutRaced(model, row.sequence, f"{won.action} of version {won.version.number} to {won.stage} percent")

    def _trusted(self, model: str) -> Live:
        """What is live, once the journal was found to be what was written."""
        require_intact(self.journal)
        self.trace("verified")
        return live_now(self.journal, model)

    def _require_recorded(self, decision: Decision) -> None:
        if self.journal.with_key(decision_key(decision.id)) is None:
            raise NotDeployable(f"Decision {decision.id[:16]} is not on record. Record it first, then deploy.")
        if not decision.goes_live:
            raise NotDeployable(
                f"Decision {decision.id[:16]} about {decision.model} is {decision.verdict}: {decision.reason}"
            )

    def _require_free(self, live: Live, stage: int) -> None:
        if SHADOW < stage < EVERYBODY and live.canary is not None:
            raise RolloutUnderway(
                f"Version {live.canary.version.number} of {live.model} serves {live.canary.stage} percent. Wait until "
                "its rollout has ended, roll it back, or let candidates begin in shadow (`shadow_sessions`)."
            )

    def _require_approved(self, decision: Decision, stage: int, policy: Deployment) -> None:
        if stage < policy.approvals_from_stage or not policy.approvals:
            return
        found = approvers(self.journal, decision.model, decision.id, role=policy.approver_role)
        if len(found) < policy.approvals:
            raise ApprovalMissing(decision.id, found=found, needed=policy.approvals, role=policy.approver_role)

    def _approvals(self, live: Live, policy: Deployment) -> int:
        placed = live.candidates[0] if live.candidates else None
        if placed is None or placed.decision is None or not policy.approvals:
            return 0
        return len(approvers(self.journal, live.model, placed.decision, role=policy.approver_role))

    def _stored(self, decision: Decision) -> Version:
        """The candidate in the store, where a way leads from its state to going live."""
        wanted = decision.evidence.candidate
        found = next((each for each in self.store.versions(decision.model) if each.id == wanted.version_id), None)
        if found is None:
            raise NotDeployable(
                f"The store has no version {wanted.version} of {decision.model} with the content "
                f"{wanted.version_id[:16]} any more. Train again."
            )
        if path(found.state, State.DEPLOYED) is None:
            raise NotDeployable(
                f"Version {found.number} of {decision.model} is {found.state}; a rollout does not begin there. "
                "Train another one."
            )
        return found


def _require_onward(live: Live, session: Session) -> None:
    """What was live between two moves would be another thing after one that was made before the last."""
    if live.session is not None and session < live.session:
        raise SessionPassed(live.model, session, live.session)


def _require_new(decision: Decision, live: Live) -> None:
    """What was taken away does not come back by the decision that brought it; nor does what was followed."""
    gone = (*live.taken_away, *(each.version for each in live.earlier))
    if decision.evidence.candidate.version_id in {each.id for each in gone}:
        raise NotDeployable(
            f"Version {decision.evidence.candidate.version} of {decision.model} was live or in a rollout before, and "
            "was taken away or followed by another one. Train again, or roll back."
        )


def _require_current(decision: Decision, live: Live) -> None:
    """A comparison with a version that is not the champion says nothing; nor does none, where there is one now."""
    if decision.verdict == "unvalidated":
        return
    compared = None if decision.evidence.champion is None else decision.evidence.champion.version_id
    champion = None if live.champion is None else live.champion.version
    if compared != (None if champion is None else champion.id):
        now = "none is live" if champion is None else f"version {champion.number} is the champion now"
        then = "nobody" if decision.evidence.champion is None else f"version {decision.evidence.champion.version}"
        raise StaleDecision(
            f"Decision {decision.id[:16]} compared {decision.model} version {decision.evidence.candidate.version} with "
            f"{then}, but {now}. Evaluate and decide again."
        )


def first_stage(decision: Decision, live: Live, policy: Deployment) -> int:
    if decision.verdict == "unvalidated" or live.champion is None:
        return EVERYBODY
    return stages(policy)[0]


def who_goes(live: Live) -> tuple[Placed, Placed]:
    """Who goes, and who serves then."""
    if live.candidates and live.champion is not None:
        return live.candidates[0], live.champion
    if live.champion is not None and live.previous is not None:
        return live.champion, live.previous
    found = "nothing is live" if live.champion is None else f"version {live.champion.version.number} is the first one"
    raise NothingToRollBack(
        f"{live.model} cannot be rolled back: {found}, so there is no version before it. Deploy another one."
    )
