"""What a policy would have promoted and rolled back in the past, and what its choices would have been worth.

Nothing is written. The rules are those of `decide`, of the ladder and of the switch; whoever must approve does so.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.calendars import Session, session_key
from quant_pipelines.deployment.decision import Decision, Verdict, decide
from quant_pipelines.deployment.failures import BadHistory
from quant_pipelines.deployment.ladder import Observation, Step, next_step
from quant_pipelines.deployment.live import EVERYBODY, SHADOW, Action, Live, Ref, Rolled, moved, rivals
from quant_pipelines.deployment.switch import first_stage, who_goes
from quant_pipelines.evaluation.evidence import Evidence
from quant_pipelines.strategies import Deployment

Vector = NDArray[np.float64]
Doing = Literal["decided", "refused", "begin", "step", "roll_back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A version, the session at whose close it was judged, and what was seen of it, once for each champion."""

    version: Ref
    session: Session
    seen: tuple[Evidence, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class History:
    """What there was to choose from, and how each version did.

    `results` has, by measure and version id, one number per session: how good what it forecast at that session was, NaN
    where nobody knows. It is known `lag_sessions` later. `watched` is the measure that the ladder looks at.
    """

    model: str
    sessions: tuple[Session, ...]
    candidates: tuple[Candidate, ...]
    results: Mapping[str, Mapping[str, Vector]]
    watched: str = "ic"
    lag_sessions: int = 1

    def __post_init__(self) -> None:
        if list(self.sessions) != sorted(set(self.sessions)):
            raise BadHistory("The sessions of a history do not rise. Give each one once, in their order.")
        if self.watched not in self.results or self.lag_sessions < 0:
            raise BadHistory(
                f"The ladder is to watch {self.watched!r}, known {self.lag_sessions} sessions later. There is "
                f"{', '.join(self.results) or 'no measure'}, and no number is known before its session."
            )
        for measure, by_version in self.results.items():
            missing = [each.version.number for each in self.candidates if each.version.id not in by_version]
            if missing or any(each.shape != (len(self.sessions),) for each in by_version.values()):
                raise BadHistory(
                    f"{measure} has not one number for each of {len(self.sessions)} sessions and each version"
                    f"{f'; it lacks versions {missing}' if missing else ''}. Give NaN where there is none."
                )
        strange = [each for each in self.candidates if each.session not in self.sessions or not each.seen]
        if strange:
            raise BadHistory(
                f"Version {strange[0].version.number} was judged on {session_key(strange[0].session)}, which is no "
                "session of this history, or without evidence. Leave it out, or add the session."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that would have happened at the close of a session."""

    session: Session
    version: Ref
    doing: Doing
    text: str
    verdict: Verdict | None = None
    stage: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Paths:
    """One measure session by session: of the replayed policy, of its first model for ever, and of always the newest.

    What two versions serve together counts by their shares. NaN where nothing served, or its number is not known.
    """

    policy: Vector
    never_retrain: Vector
    always_newest: Vector

    @property
    def sessions(self) -> int:
        """How many of them have all three numbers."""
        return int(self._known.sum())

    def means(self) -> tuple[float, float, float] | None:
        """Over the sessions that have all three numbers, in the order of the fields."""
        if not self.sessions:
            return None
        policy, never, newest = (
            float(each[self._known].mean()) for each in (self.policy, self.never_retrain, self.always_newest)
        )
        return policy, never, newest

    @property
    def _known(self) -> NDArray[np.bool_]:
        return np.isfinite(self.policy) & np.isfinite(self.never_retrain) & np.isfinite(self.always_newest)


@dataclass(frozen=True, eq=False, kw_only=True)
class Replay:
    """What would have happened, who would have served when (before the close of each session), and what it is worth."""

    events: tuple[Event, ...]
    served: tuple[Live, ...]
    live: Live
    paths: Mapping[str, Paths]


def replay(history: History, policy: Deployment) -> Replay:
    """Go through a history session by session: what is judged begins its rollout or does not, else the ladder moves."""
    fold = _Fold(history, policy)
    served: list[Live] = []
    for place in range(len(history.sessions)):
        served.append(fold.live)
        fold.close(place)
    paths = {name: _paths(history, served, by_version) for name, by_version in history.results.items()}
    return Replay(events=tuple(fold.events), served=tuple(served), live=fold.live, paths=paths)


class _Fold:
    """What is live, and how it came to that."""

    def __init__(self, history: History, policy: Deployment) -> None:
        self.history, self.policy = history, policy
        self.live = Live(model=history.model)
        self.events: list[Event] = []

    def close(self, place: int) -> None:
        session = self.history.sessions[place]
        judged = [each for each in self.history.candidates if each.session == session]
        begun = [self._begins(each) for each in judged]
        if not any(begun):
            self._climbs(place)

    def _begins(self, candidate: Candidate) -> bool:
        decision = decide(_evidence_for(candidate, self.live), self.policy)
        current = _is_current(decision, self.live)
        if current:
            self._tell(candidate, "decided", decision.reason, decision.verdict)
        why = _why_not(candidate.version, decision, self.live, self.policy, current=current)
        if why is not None:
            if why:
                self._tell(candidate, "refused", why)
            return False
        stage = first_stage(decision, self.live, self.policy)
        self._move(
            "begin", candidate.version, session=candidate.session, stage=stage, text=decision.reason, by=decision.id
        )
        return True

    def _climbs(self, place: int) -> None:
        session, live = self.history.sessions[place], self.live
        step = next_step(live, self._observations(place), self.policy, approvals=self.policy.approvals)
        if step.doing == "step" and step.version is not None and step.to_stage is not None:
            by = live.candidates[0].decision
            self._move("step", step.version, session=session, stage=step.to_stage, text=step.text, by=by)
        elif step.doing == "roll_back":
            self._takes_away(step, session)

    def _takes_away(self, step: Step, session: Session) -> None:
        leaves, _ = who_goes(self.live)
        self._move("roll_back", leaves.version, session=session, stage=leaves.stage, text=step.text, by=leaves.decision)

    def _observations(self, place: int) -> Sequence[Observation]:
        """Of the sessions of this stage, those whose numbers are known by now."""
        pair = rivals(self.live)
        if pair is None:
            return []
        results, known = self.history.results[self.history.watched], place + 1 - self.history.lag_sessions
        candidate, champion = (results[each.version.id] for each in pair)
        return [
            Observation(session=session, candidate=_number(candidate[at]), champion=_number(champion[at]))
            for at, session in enumerate(self.history.sessions[: max(known, 0)])
            if session > pair[0].since
        ]

    def _move(self, action: Action, version: Ref, *, session: Session, stage: int, text: str, by: str | None) -> None:
        number = self.live.number + 1
        rolled = Rolled(
            number=number, action=action, version=version, stage=stage, session=session, decision=by, reason=text
        )
        self.live = moved(self.live, rolled, row=number)
        self.events.append(Event(session=session, version=version, doing=action, text=text, stage=stage))

    def _tell(self, candidate: Candidate, doing: Doing, text: str, verdict: Verdict | None = None) -> None:
        self.events.append(
            Event(session=candidate.session, version=candidate.version, doing=doing, text=text, verdict=verdict)
        )


def _evidence_for(candidate: Candidate, live: Live) -> Evidence:
    """What was seen against the champion that there is; where nothing was, what was seen first."""
    champion = None if live.champion is None else live.champion.version.id
    return next((each for each in candidate.seen if _compared_with(each) == champion), candidate.seen[0])


def _compared_with(evidence: Evidence) -> str | None:
    return None if evidence.champion is None else evidence.champion.version_id


def _is_current(decision: Decision, live: Live) -> bool:
    champion = None if live.champion is None else live.champion.version.id
    return decision.verdict == "unvalidated" or _compared_with(decision.evidence) == champion


def _why_not(version: Ref, decision: Decision, live: Live, policy: Deployment, *, current: bool) -> str | None:
    """Why no rollout begins, empty where the decision says so itself; None where one begins."""
    if not current:
        return "It was never compared with the champion that this policy would have had."
    if not decision.goes_live:
        return ""
    gone = {each.id for each in (*live.taken_away, *(each.version for each in live.earlier))}
    if version.id in gone or live.placed(version.id) is not None:
        return "It is in a rollout, or was in one before."
    if live.canary is not None and SHADOW < first_stage(decision, live, policy) < EVERYBODY:
        return f"Version {live.canary.version.number} serves a share, and one candidate at a time does."
    return None


def _paths(history: History, served: Sequence[Live], results: Mapping[str, Vector]) -> Paths:
    first = next((each.champion.version for each in served if each.champion is not None), None)
    newest = _newest(history)

    def one(version: Ref | None, at: int) -> float:
        return np.nan if version is None else float(results[version.id][at])

    def each(value: Callable[[int], float]) -> Vector:
        return np.array([value(at) for at in range(len(served))], np.float64)

    return Paths(
        policy=each(lambda at: _shared(served[at], lambda version: one(version, at))),
        never_retrain=each(lambda at: np.nan if served[at].champion is None else one(first, at)),
        always_newest=each(lambda at: one(newest[at], at)),
    )


def _shared(live: Live, value: Callable[[Ref], float]) -> float:
    if live.champion is None:
        return np.nan
    if live.canary is None:
        return value(live.champion.version)
    share = live.canary.stage / EVERYBODY
    return share * value(live.canary.version) + (1 - share) * value(live.champion.version)


def _newest(history: History) -> list[Ref | None]:
    """The version that was judged last before each session."""

    def before() -> Iterator[Ref | None]:
        latest: Ref | None = None
        for session in history.sessions:
            yield latest
            judged = [each.version for each in history.candidates if each.session == session]
            latest = judged[-1] if judged else latest

    return list(before())


def _number(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None
