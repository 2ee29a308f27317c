"""Brings the model store up to date with the journal. Done twice, or by several at once, it comes to the same."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from quant_pipelines.deployment.decision import GO, judged
from quant_pipelines.deployment.failures import CannotServe
from quant_pipelines.deployment.live import Live, live_now
from quant_pipelines.journal import Journal
from quant_pipelines.registry import CANDIDATE, CHAMPION, TRANSITIONS, ModelStore, State, Version
from quant_pipelines.registry.failures import IllegalTransition

# Told the name of every step. Tests end the process there; nobody else listens.
Trace = Callable[[str], None]

_REASON = "as the journal says"
_TRIES = 5


def ignore(point: str) -> None:
    del point


@dataclass(frozen=True, kw_only=True)
class Projection:
    """The store as one journal's shadow: aliases and life-cycle states."""

    journal: Journal
    store: ModelStore
    actor: str
    trace: Trace = ignore

    def reconcile(self, model: str) -> tuple[str, ...]:
        """Set the aliases and states of a model to what its rows say; tells what was changed.

        Whoever was overtaken by another move finds that out at the end, and begins again: the last one who writes has
        seen the newest row.
        """
        told: list[str] = []
        while True:
            live = live_now(self.journal, model)
            told += self._project(live)
            if live_now(self.journal, model).number == live.number:
                return tuple(told)

    def _project(self, live: Live) -> Iterator[str]:
        """The champion's alias first: it is what others look at."""
        stored = {each.id: each for each in self.store.versions(live.model)}
        yield from self._alias(live, CHAMPION, None if live.champion is None else live.champion.version.id, stored)
        candidates = live.candidates
        yield from self._alias(live, CANDIDATE, candidates[0].version.id if candidates else None, stored)
        for version_id, wanted in wanted_states(self.journal, live).items():
            if version_id in stored:
                yield from self._bring(stored[version_id], wanted)
        if live.champion is not None and live.champion.version.id not in stored:
            number = str(live.champion.version.number)
            raise CannotServe(live.model, number, "it is live, but it is gone from the store. Roll back.")

    def _alias(self, live: Live, name: str, wanted: str | None, stored: Mapping[str, Version]) -> Iterator[str]:
        has = next((each.id for each in stored.values() if name in each.aliases), None)
        if has == wanted or (wanted is not None and wanted not in stored):
            return
        number = None if wanted is None else stored[wanted].number
        self.store.alias(live.model, name, number)
        self.trace(f"aliased {name}")
        yield f"{name} is version {number}" if number is not None else f"there is no {name}"

    def _bring(self, version: Version, wanted: State) -> Iterator[str]:
        """Along the table, step by step; somebody else may be doing the same."""
        for _ in range(_TRIES):
            way = path(version.state, wanted)
            if not way:
                return
            try:
                for state in way:
                    version = self.store.move(version.model, version.number, state, actor=self.actor, reason=_REASON)
                    self.trace(f"moved to {state}")
                    yield f"version {version.number} is {state}"
            except IllegalTransition:
                version = self.store.version(version.model, version.number)
            else:
                return


def wanted_states(journal: Journal, live: Live) -> dict[str, State]:
    """Where each version stands by its decisions and moves. What was only quarantined or not judged stays open."""
    wanted: dict[str, State] = {}
    for version_id, verdict in judged(journal, live.model):
        if verdict in GO:
            wanted[version_id] = State.VALIDATED
        elif verdict == "rejected":
            wanted.setdefault(version_id, State.REJECTED)
    wanted |= {each.version.id: State.RETIRED for each in live.earlier}
    wanted |= {each.id: State.ROLLED_BACK for each in live.taken_away}
    wanted |= {each.version.id: State.CANARY for each in live.candidates}
    if live.champion is not None:
        wanted[live.champion.version.id] = State.DEPLOYED
    return wanted


def path(found: State, wanted: State) -> tuple[State, ...] | None:
    """The shortest way along the table; empty where it is there, None where no way leads there."""
    ways: dict[State, tuple[State, ...]] = {found: ()}
    waiting = [found]
    while waiting:
        here = waiting.pop(0)
        if here == wanted:
            return ways[here]
        for each in TRANSITIONS[here]:
            if each not in ways:
                ways[each] = (*ways[here], each)
                waiting.append(each)
    return None
