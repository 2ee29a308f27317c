"""What may be going on when something fails, and what is live before and after it."""

from collections.abc import Callable
from dataclasses import dataclass

from quant_pipelines.deployment import Decision, Live, decisions, live_now
from quant_pipelines.journal import Journal
from quant_pipelines.registry import ModelStore
from tests.rollouts import QUICK, Rollouts, day, observed
from tests.stored import MODEL

Run = Callable[[], str]
# Who is champion, and who is in a rollout at which stage.
Standing = tuple[int | None, dict[int, int]]
AT = 20
GOOD, BAD = observed(0.1, 0.1, after=AT), observed(-0.1, -0.2, -0.1, -0.2, after=AT)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """How many champions there were, how far a candidate is above them, and what is tried next."""

    champions: int
    candidate_at: int | None
    act: str
    before: Standing
    after: Standing


SCENES = {
    "the first model": Scene(champions=0, candidate_at=None, act="deploy", before=(None, {}), after=(1, {})),
    "into shadow": Scene(champions=1, candidate_at=None, act="deploy", before=(1, {}), after=(1, {2: 0})),
    "onto the ladder": Scene(champions=1, candidate_at=0, act="step", before=(1, {2: 0}), after=(1, {2: 10})),
    "to everybody": Scene(champions=1, candidate_at=30, act="step", before=(1, {2: 30}), after=(2, {})),
    "off the ladder": Scene(champions=1, candidate_at=10, act="fail", before=(1, {2: 10}), after=(1, {})),
    "back to the one before": Scene(champions=2, candidate_at=None, act="roll_back", before=(2, {}), after=(1, {})),
}


def prepare(scene: Scene, rollouts: Rollouts, run: Run) -> None:
    """Bring a journal and a store to where the scene begins; the candidate is trained and decided about."""
    at_once = QUICK.model_copy(update={"shadow_sessions": 0, "ladder": (100,)})
    names = [f"champion-{number}" for number in range(scene.champions)]
    for number, name in enumerate(names):
        decision = rollouts.candidate(name, champion=rollouts.champion(), policy=at_once, run_id=run())
        rollouts.switch.deploy(decision, session=day(number))
    if scene.act == "roll_back":
        return
    decision = rollouts.candidate("candidate", champion=rollouts.champion(), run_id=run())
    if scene.candidate_at is None:
        return
    rollouts.switch.deploy(decision, session=day(AT - 10))
    for number, stage in enumerate((0, 10, 30)):
        if stage == scene.candidate_at:
            # What follows is observed after this session.
            return
        seen = observed(0.1, 0.1, after=AT - 10 + 2 * number)
        rollouts.switch.step(MODEL, seen, QUICK, session=day(AT - 8 + 2 * number))


def perform(scene: Scene, rollouts: Rollouts) -> None:
    """What the scene tries. It can be tried again."""
    if scene.act == "deploy":
        rollouts.switch.deploy(_decided(rollouts.journal), session=day(AT))
    elif scene.act == "roll_back":
        # At the session of the step that it may race: whoever comes second must not be late.
        rollouts.switch.roll_back(MODEL, session=day(AT + len(GOOD)), reason="a person has seen something")
    else:
        seen = GOOD if scene.act == "step" else BAD
        rollouts.switch.step(MODEL, seen, QUICK, session=day(AT + len(seen)))


def standing(live: Live) -> Standing:
    champion = None if live.champion is None else live.champion.version.number
    return champion, {each.version.number: each.stage for each in live.candidates}


def require_safe(scene: Scene, journal: Journal, store: ModelStore, *, moved: bool) -> None:
    """The last stable version is live, or the new one whole; and the store says the same once it was reconciled."""
    assert journal.verify() == [], "a failure is no tampering"
    live = live_now(journal, MODEL)
    assert standing(live) == (scene.after if moved else scene.before)
    rollouts = Rollouts(journal, store)
    rollouts.switch.reconcile(MODEL)
    champion = rollouts.champion()
    assert (None if champion is None else champion.number) == standing(live)[0]
    if champion is not None:
        assert champion.state == "deployed"
        assert store.load(MODEL, "champion").manifest.digest == champion.id
    assert [number for number, state in rollouts.states().items() if state == "canary"] == list(standing(live)[1])
    assert rollouts.switch.reconcile(MODEL) == (), "reconciling twice is reconciling once"


def _decided(journal: Journal) -> Decision:
    return decisions(journal, MODEL)[-1][1]
