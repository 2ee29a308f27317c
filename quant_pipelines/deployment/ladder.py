"""The ladder of a rollout: a pure function says what comes next, and why (X-25, X-42, X-47)."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Literal

from quant_pipelines.calendars import Session
from quant_pipelines.deployment.live import EVERYBODY, SHADOW, Live, Placed, Ref
from quant_pipelines.documents import Entry
from quant_pipelines.strategies import Deployment

Doing = Literal["step", "roll_back", "hold", "skip"]
Why = Literal[
    "nothing_live",
    "already_max_stage",
    "insufficient_observation",
    "soaking",
    "failed_window",
    "needs_approval",
    "soaked",
    "windows_failed",
    "by_hand",
]
FAILED_WINDOWS = "failed_windows"
_DEFAULT_LADDER = (10, 30, EVERYBODY)


class Observation(Entry, frozen=True):
    """How one session went, higher is better; null where a number could not be had.

    `candidate` is the version on the ladder and `champion` the one it would follow. At 100 percent the candidate is
    the champion itself, compared with the version before it.
    """

    session: Session
    candidate: float | None
    champion: float | None

    @property
    def gain(self) -> float | None:
        """How much better the candidate was, where both are known."""
        if self.candidate is None or self.champion is None:
            return None
        gain = self.candidate - self.champion
        return gain if math.isfinite(gain) else None


class Step(Entry, frozen=True):
    """What to do next with a model's rollout. `windows_failed` counts those that failed one after the other."""

    doing: Doing
    why: Why
    text: str
    version: Ref | None = None
    stage: int | None = None
    to_stage: int | None = None
    observed_sessions: int = 0
    windows_failed: int = 0
    trigger_rule: str | None = None


def stages(policy: Deployment) -> tuple[int, ...]:
    """Every stage of a rollout, in percent of the universe; 0 is shadow."""
    ladder = policy.ladder or _DEFAULT_LADDER
    return (SHADOW, *ladder) if policy.shadow_sessions else ladder


def next_step(live: Live, observations: Sequence[Observation], policy: Deployment, *, approvals: int = 0) -> Step:
    """The next move of what is furthest in its rollout. `approvals` counts the people who agreed to its decision."""
    placed = live.candidates[0] if live.candidates else live.champion
    if placed is None:
        return Step(doing="skip", why="nothing_live", text="Nothing is live, and nothing is in a rollout.")
    judged = _Judged(placed, observations, policy)
    if judged.must_go and (placed.stage < EVERYBODY or live.previous is not None):
        return judged.roll_back()
    if placed.stage >= EVERYBODY:
        return judged.step("skip", "already_max_stage", "It serves everybody; there is no step above that.")
    return judged.onwards(approvals)


def gains_since(placed: Placed, observations: Sequence[Observation]) -> tuple[int, list[float]]:
    """How many sessions there were after the stage began, and the gains of those that say something, in order.

    Of two observations of one session the last one counts.
    """
    by_session = {each.session: each.gain for each in observations if each.session > placed.since}
    return len(by_session), [gain for _, gain in sorted(by_session.items()) if gain is not None]


def window_failed(gains: Sequence[float], policy: Deployment) -> bool:
    """Whether the candidate was worse in these sessions by more than their own noise."""
    mean = fmean(gains)
    if mean >= 0:
        return False
    error = stdev(gains) / math.sqrt(len(gains))
    return mean <= -policy.window_errors * error


class _Judged:
    """One version at its stage, with what was seen of it there."""

    def __init__(self, placed: Placed, observations: Sequence[Observation], policy: Deployment) -> None:
        self.placed, self.policy = placed, policy
        self.sessions, self.gains = gains_since(placed, observations)
        size = policy.window_sessions
        whole = len(self.gains) // size
        self.windows = [window_failed(self.gains[at * size : (at + 1) * size], policy) for at in range(whole)]
        self.failed = _trailing(self.windows)

    @property
    def must_go(self) -> bool:
        return self.failed >= self.policy.rollback_after_failed_windows

    @property
    def soak(self) -> int:
        """How many sessions the stage takes at least."""
        in_shadow = self.placed.stage == SHADOW
        return self.policy.shadow_sessions if in_shadow else self.policy.step_after_sessions

    @property
    def clean(self) -> int:
        """Observed sessions since the last failed window, or since the stage began."""
        fine = _trailing([not each for each in self.windows])
        last = len(self.windows) - fine
        return len(self.gains) - last * self.policy.window_sessions

    def onwards(self, approvals: int) -> Step:
        """Hold, or the next stage."""
        if self.clean < self.soak:
            return self._waits()
        to = next(each for each in (*stages(self.policy), EVERYBODY) if each > self.placed.stage)
        needed = self.policy.approvals if to >= self.policy.approvals_from_stage else 0
        if approvals < needed:
            who = f"{needed} who are {self.policy.approver_role}"
            return self.step("hold", "needs_approval", f"{approvals} people have agreed; {who} must.", to_stage=to)
        text = f"Sessions that went by without a failed window: {self.clean}; needed: {self.soak}."
        return self.step("step", "soaked", text, to_stage=to)

    def roll_back(self) -> Step:
        size, most = self.policy.window_sessions, self.policy.rollback_after_failed_windows
        text = f"Windows of {size} sessions that failed one after the other: {self.failed}; enough to end it: {most}."
        return self.step("roll_back", "windows_failed", text, trigger_rule=FAILED_WINDOWS)

    def step(self, doing: Doing, why: Why, text: str, *, to_stage: int | None = None, trigger_rule: str = "") -> Step:
        return Step(
            doing=doing,
            why=why,
            text=text,
            version=self.placed.version,
            stage=self.placed.stage,
            to_stage=to_stage,
            observed_sessions=len(self.gains),
            windows_failed=self.failed,
            trigger_rule=trigger_rule or None,
        )

    def _waits(self) -> Step:
        if self.failed:
            most = self.policy.rollback_after_failed_windows
            text = f"Windows that failed one after the other: {self.failed}; enough to end it: {most}."
            return self.step("hold", "failed_window", text)
        if self.sessions >= self.soak > len(self.gains):
            text = f"Of {self.sessions} sessions {len(self.gains)} could be compared; {self.soak} are needed."
            return self.step("hold", "insufficient_observation", text)
        return self.step("hold", "soaking", f"{self.clean} of {self.soak} sessions have gone by.")


def _trailing(flags: Sequence[bool]) -> int:
    """How many at the end are true."""
    count = 0
    for each in reversed(flags):
        if not each:
            break
        count += 1
    return count
