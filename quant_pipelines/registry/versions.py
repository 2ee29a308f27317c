"""Stored versions: what is known of one, what a store promises, and which may go."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from quant_pipelines.registry.failures import RetentionRefused
from quant_pipelines.registry.life_cycle import OPEN, SERVED, State, Transition
from quant_pipelines.registry.package import Packed

CHAMPION, CANDIDATE = "champion", "candidate"
# a rollback needs the version before, so one is never enough.
MAX_VERSIONS, _FEWEST_VERSIONS = 3, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One stored version of a model. `id` names its content, `number` its place in the model's history."""

    model: str
    number: int
    id: str
    training_id: str
    run_id: str
    uri: str
    created_at: datetime
    history: tuple[Transition, ...]
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        return f"{self.model}/{self.number}"

    @property
    def state(self) -> State:
        return self.history[-1].state


class ModelStore(Protocol):
    """Where trained models are kept. The conformance suite holds every store to this."""

    def save(self, packed: Packed, run_id: str, *, actor: str) -> Version:
        """Store what a run has trained. A training that is stored already is not stored twice: its version comes back.

        Killed at any moment, there is a whole version or none, and saving again heals.
        """
        ...

    def load(self, model: str, which: int | str) -> Packed:
        """The model of a number or an alias, verified before a byte of it is parsed."""
        ...

    def version(self, model: str, which: int | str) -> Version: ...

    def with_training(self, model: str, training_id: str) -> Version | None:
        """The version of this training, if it is stored."""
        ...

    def models(self) -> list[str]: ...

    def versions(self, model: str) -> list[Version]:
        """Every version, the oldest first."""
        ...

    def search(self, text: str = "", tags: Mapping[str, str] | None = None) -> list[Version]:
        """Versions of any model whose name, state, training, aliases or tags hold the text, and that have all tags."""
        ...

    def set_tag(self, model: str, number: int, key: str, value: str) -> None: ...

    def move(self, model: str, number: int, state: State, *, actor: str, reason: str = "") -> Version:
        """Take one step of the life cycle. One that the table does not have is refused."""
        ...

    def alias(self, model: str, name: str, number: int | None) -> None:
        """Let the name mean this version from now on, or none."""
        ...

    def trim(self, model: str, *, keep: int = MAX_VERSIONS, cited: Collection[str] = ()) -> list[Version]:
        """Let go what `leaving` names, and say what went."""
        ...


def leaving(versions: Sequence[Version], *, keep: int, cited: Collection[str]) -> list[Version]:
    """Which versions may go (X-17): none of the newest, none that is open, served last, has an alias or is cited.

    `cited` holds what decisions name: version ids, training ids, or model/number.
    """
    if keep < _FEWEST_VERSIONS:
        raise RetentionRefused(
            f"Keeping {keep} versions would leave nothing to roll back to. Keep {_FEWEST_VERSIONS} or more."
        )
    ordered = sorted(versions, key=lambda each: each.number)
    served = [each.number for each in ordered if each.state in SERVED]
    stays = {each.number for each in ordered[-keep:]} | set(served[-_FEWEST_VERSIONS:])
    named = set(cited)
    return [
        each
        for each in ordered
        if each.number not in stays
        and each.state not in OPEN
        and not each.aliases
        and not named & {each.id, each.training_id, each.name}
    ]


def matches(version: Version, text: str, tags: Mapping[str, str]) -> bool:
    """Whether a search finds this version; upper and lower case are the same to it."""
    words = [
        version.name, version.id, version.training_id, version.run_id, version.state, *version.aliases,
        *version.tags, *version.tags.values(),
    ]  # fmt: skip
    found = any(text.casefold() in word.casefold() for word in words)
    return found and all(version.tags.get(key) == value for key, value in tags.items())
