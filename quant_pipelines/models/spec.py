"""A kind of model: what it is, its hyper-parameters, and how to make one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quant_pipelines.models.failures import BadParameter
from quant_pipelines.models.parameters import Parameter, Value, Values
from quant_pipelines.models.task import Task

if TYPE_CHECKING:
    from quant_pipelines.models.forecaster import Files, Forecaster

DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """One model to be: its kind, every hyper-parameter's value, the task, the columns and sessions it sees."""

    kind: str
    parameters: Values
    task: Task
    columns: tuple[str, ...]
    length: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One kind, the row of the zoo.

    `sequence` is how many sessions one prediction sees: a number, or the hyper-parameter that says so.
    `needs_label_set` is the only label set it can learn, None: any. `many_outputs` kinds learn all that a label set
    has (its classes, its returns one by one); the others learn its one value. `takes_missing` kinds read NaN, and
    `takes_any_scale` kinds are indifferent to how large a feature is. `trains_in_threads` kinds
    have no state outside the model, so several may be fitted at once in one process. `make` imports what it needs
    when it is called.
    """

    name: str
    description: str
    make: "Callable[[ModelSettings, Files | None], Forecaster]"
    parameters_known: tuple[Parameter, ...] = ()
    presets: Mapping[str, Values] = field(default_factory=dict[str, Values])
    sequence: int | str = 1
    is_open: bool = False
    many_outputs: bool = False
    takes_missing: bool = False
    takes_any_scale: bool = False
    trains_in_threads: bool = False
    needs_label_set: str | None = None
    ladder: tuple[int, ...] = (10, 30, 100)

    @property
    def defaults(self) -> dict[str, Value]:
        return {each.name: each.default for each in self.parameters_known}

    @property
    def preset_names(self) -> tuple[str, ...]:
        return (DEFAULT, *self.presets)

    def parameters(self, preset: str, chosen: Values) -> dict[str, Value]:
        """The user's values over the preset's over the defaults (S2-25)."""
        return {**self.defaults, **self.presets.get(preset, {}), **chosen}

    def mistakes(self, chosen: Mapping[str, object]) -> dict[str, str]:
        """What is wrong with each value that somebody chose; unknown names are told by whoever knows the hint."""
        known = {each.name: each for each in self.parameters_known}
        told = {name: known[name].mistake(value) for name, value in chosen.items() if name in known}
        return {name: text for name, text in told.items() if text is not None}

    def sessions(self, parameters: Values) -> int:
        """How many sessions one prediction sees, its own included."""
        return self.sequence if isinstance(self.sequence, int) else int(parameters[self.sequence])

    def settings(
        self, task: Task, columns: tuple[str, ...], *, chosen: Values | None = None, preset: str = DEFAULT
    ) -> ModelSettings:
        """A model to be. A name or value that the kind does not know is refused."""
        chosen = chosen or {}
        unknown = sorted(chosen.keys() - self.defaults.keys()) if not self.is_open else []
        told = [f"{name}: {text}" for name, text in self.mistakes(chosen).items()]
        if unknown or told:
            known = ", ".join(self.defaults) or "none"
            told += [f"{name} is no hyper-parameter of it; it has {known}" for name in unknown]
            raise BadParameter(f"{self.name} cannot be made: {'; '.join(told)}.")
        parameters = self.parameters(preset, chosen)
        return ModelSettings(
            kind=self.name, parameters=parameters, task=task, columns=columns, length=self.sessions(parameters)
        )
