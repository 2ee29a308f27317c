"""A journal, a store and candidates to roll out."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from quant_pipelines.deployment import Decision, Observation, Switch, decide, record
from quant_pipelines.journal import FileAnchor, Journal, sqlite_url
from quant_pipelines.registry import CHAMPION, MAX_VERSIONS, ModelStore, Packed, State, Transition, Version
from quant_pipelines.registry.failures import UnknownVersion
from quant_pipelines.registry.life_cycle import require_legal
from quant_pipelines.registry.package import stored_form, verified
from quant_pipelines.registry.versions import leaving, matches
from quant_pipelines.strategies import Deployment
from tests.judged import evidence, seen
from tests.stored import KEYS, MODEL, packed

FIRST = datetime(2024, 1, 2)
AT = datetime(2024, 1, 2, 15, tzinfo=UTC)
QUICK = Deployment(shadow_sessions=2, step_after_sessions=2, window_sessions=2, ladder=(10, 30, 100))


def day(number: int) -> datetime:
    """A session's label."""
    return FIRST + timedelta(days=number)


def observed(*gains: float | None, after: int = 0) -> list[Observation]:
    """Sessions one after the other, in which the candidate gained so much; None: nothing was seen."""
    return [
        Observation(session=day(after + number), candidate=None if gain is None else 1.0 + gain, champion=1.0)
        for number, gain in enumerate(gains, 1)
    ]


class Ticking:
    """A clock that moves a second with every look at it, or to where it is put."""

    def __init__(self) -> None:
        self.at = AT

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


class Remembered:
    """A store in memory that keeps a version's bytes as they would lie on disk, so that they can be tampered with."""

    def __init__(self) -> None:
        self.bytes: dict[int, dict[str, bytes]] = {}
        self.kept: dict[int, Version] = {}
        self.aliases: dict[str, int] = {}

    def save(self, packed: Packed, run_id: str, *, actor: str) -> Version:
        there = self.with_training(packed.manifest.model, packed.manifest.training_id)
        if there is not None:
            return there
        number = max(self.kept, default=0) + 1
        steps = tuple(Transition(state=state, at=AT, actor=actor) for state in (State.CREATED, State.TRAINING))
        self.bytes[number] = stored_form(packed, KEYS)
        self.kept[number] = Version(
            model=packed.manifest.model, number=number, id=packed.manifest.digest,
            training_id=packed.manifest.training_id, run_id=run_id, uri=f"memory:{number}", created_at=AT,
            history=steps,
        )  # fmt: skip
        return self.version(packed.manifest.model, number)

    def load(self, model: str, which: int | str) -> Packed:
        return verified(self.bytes[self.version(model, which).number], KEYS)

    def version(self, model: str, which: int | str) -> Version:
        for each in self.versions(model):
            if which == each.number or which in each.aliases:
                return each
        raise UnknownVersion(f"{model} has no version {which!r}.")

    def with_training(self, model: str, training_id: str) -> Version | None:
        return next((each for each in self.versions(model) if each.training_id == training_id), None)

    def models(self) -> list[str]:
        return sorted({each.model for each in self.kept.values()})

    def versions(self, model: str) -> list[Version]:
        named = {number: tuple(name for name, at in self.aliases.items() if at == number) for number in self.kept}
        return [
            replace(each, aliases=named[number]) for number, each in sorted(self.kept.items()) if each.model == model
        ]

    def search(self, text: str = "", tags: Mapping[str, str] | None = None) -> list[Version]:
        return [each for model in self.models() for each in self.versions(model) if matches(each, text, tags or {})]

    def set_tag(self, model: str, number: int, key: str, value: str) -> None:
        found = self.version(model, number)
        self.kept[number] = replace(found, tags={**found.tags, key: value})

    def move(self, model: str, number: int, state: State, *, actor: str, reason: str = "") -> Version:
        found = self.version(model, number)
        require_legal(found.state, state)
        taken = Transition(state=state, at=AT, actor=actor, reason=reason)
        self.kept[number] = replace(found, history=(*found.history, taken))
        return self.version(model, number)

    def alias(self, model: str, name: str, number: int | None) -> None:
        if number is None:
            del self.aliases[name]
        else:
            self.aliases[name] = self.version(model, number).number

    def trim(self, model: str, *, keep: int = MAX_VERSIONS, cited: Collection[str] = ()) -> list[Version]:
        going = leaving(self.versions(model), keep=keep, cited=cited)
        for each in going:
            del self.kept[each.number], self.bytes[each.number]
        return going

    def tamper(self, number: int) -> None:
        name = next(each for each in self.bytes[number] if not each.startswith("manifest"))
        data = bytearray(self.bytes[number][name])
        data[-1] ^= 1
        self.bytes[number][name] = bytes(data)

    def lose(self, number: int) -> None:
        del self.kept[number], self.bytes[number]


class Rollouts:
    """One model's journal and store, and who moves it."""

    def __init__(self, journal: Journal, store: ModelStore, **switch: Any) -> None:
        self.journal, self.store = journal, store
        self.switch = Switch(journal=journal, store=store, actor="a test", **switch)

    def candidate(
        self, training: str, *, champion: Version | None = None, policy: Deployment = QUICK, run_id: str = "run"
    ) -> Decision:
        """A version that was trained, compared with the champion, and decided for."""
        version = self.store.save(packed(training=training), run_id, actor="a test")
        market, strategy = MODEL.split(".")
        against = None if champion is None else seen(str(champion.number), champion.id)
        found = evidence(
            market=market,
            strategy=strategy,
            candidate=seen(str(version.number), version.id, f1=0.56, balanced_f1=0.54),
            champion=against,
        )
        decision = decide(found, policy)
        record(self.journal, decision, actor="a test")
        return decision

    def champion(self) -> Version | None:
        """By the store's alias."""
        return next((each for each in self.store.versions(MODEL) if CHAMPION in each.aliases), None)

    def states(self) -> dict[int, str]:
        return {each.number: str(each.state) for each in self.store.versions(MODEL)}

    def deployed(self, *trainings: str, policy: Deployment | None = None, after: int = 0) -> list[Decision]:
        """These, one session after the other, each of them up to everybody at once."""
        at_once = policy or QUICK.model_copy(update={"shadow_sessions": 0, "ladder": (100,)})
        made: list[Decision] = []
        for number, training in enumerate(trainings):
            decision = self.candidate(training, champion=self.champion(), policy=at_once)
            self.switch.deploy(decision, session=day(after + number))
            made.append(decision)
        return made


def journal_in(folder: Path, **more: Any) -> Journal:
    return Journal(
        sqlite_url(folder / "journal.db"),
        FileAnchor(folder / "journal.anchor"),
        clock=more.pop("clock", Ticking()),
        **more,
    )
