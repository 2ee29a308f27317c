"""What a search may try, by what it judges, and how much it may spend."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.models import ModelSettings, ModelSpec, Range, Searched, Value

Objective = Literal["ic", "rank_ic", "icir", "mse", "mae", "log_loss", "accuracy", "direction_accuracy"]
Scheme = Literal["walk_forward", "purged_k_fold", "combinatorial"]
# Which way is better. Everything else that is measured is greater where it is better.
LEAST_IS_BEST = ("mse", "mae", "log_loss")
_FEWEST_FOLDS = 2


class BadSearch(OperatorActionRequired, ValueError):
    """A search that has no end or no meaning."""

    code = "QP168"


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search. It ends after so many trials or seconds, whichever comes first; one of the two must be there.

    `objective` None is the mean IC of a session where sessions have names enough to rank, else the task's own loss.
    `space` None is every hyper-parameter that the kind says is worth searching. `embargo_sessions` count for purged
    and combinatorial folds: walking forward, nothing is learned from what follows a test. `tested_together` is how many
    of the folds each training of the combinatorial scheme is tested on: 2 of 5 are 10 trainings and 4 paths.
    """

    trials: int | None = None
    seconds: float | None = None
    folds: int = 3
    scheme: Scheme = "walk_forward"
    tested_together: int = 2
    embargo_sessions: int = 0
    objective: Objective | None = None
    pruning: bool = True
    workers: int = 1
    seed: int = 0
    space: Mapping[str, Searched] | None = None

    def __post_init__(self) -> None:
        if self.trials is None and self.seconds is None:
            raise BadSearch("The search has no budget. Give it trials, seconds or both.")
        least = {"trials": 1, "seconds": 0, "folds": _FEWEST_FOLDS, "embargo_sessions": 0, "workers": 1, "seed": 0}
        for name, smallest in least.items():
            found = getattr(self, name)
            if found is not None and found < smallest:
                raise BadSearch(f"{name} of the search is {found}; it is {smallest} or more.")
        if self.scheme == "combinatorial" and not 1 <= self.tested_together < self.folds:
            raise BadSearch(
                f"tested_together of the search is {self.tested_together}; of {self.folds} folds it is 1 to "
                f"{self.folds - 1}, since one at least has to be learned from."
            )

    @property
    def question(self) -> dict[str, Any]:
        """What decides which trials there are and what each is worth; the budget is no part of it."""
        left_out = ("trials", "seconds", "workers", "space")
        return {name: value for name, value in asdict(self).items() if name not in left_out}


def space_of(search: Search, spec: ModelSpec, start: ModelSettings) -> dict[str, Searched]:
    """What is tried, by hyper-parameter; the start's own value is always among it."""
    rows = {each.name: each.searched for each in spec.parameters_known if each.searched is not None}
    chosen = dict(search.space if search.space is not None else rows)
    if not chosen:
        raise BadSearch(f"{spec.name} has nothing to search. Give the search a space.")
    for name, searched in chosen.items():
        _require_known(spec, name)
        _require_values(spec, name, searched)
    return {name: _holding(name, searched, start.parameters[name]) for name, searched in chosen.items()}


def space_as_json(space: Mapping[str, Searched]) -> dict[str, Any]:
    return {name: asdict(each) if isinstance(each, Range) else list(each) for name, each in sorted(space.items())}


def _require_known(spec: ModelSpec, name: str) -> None:
    if name == spec.sequence:
        raise BadSearch(f"{name} decides which rows there are to judge by, so it cannot be searched. Leave it out.")
    if name not in spec.defaults:
        raise BadSearch(f"{name} is no hyper-parameter of {spec.name}; it has {', '.join(spec.defaults) or 'none'}.")


def _require_values(spec: ModelSpec, name: str, searched: Searched) -> None:
    values = (searched.low, searched.high) if isinstance(searched, Range) else searched
    if isinstance(searched, Range) and isinstance(spec.defaults[name], int):
        values = tuple(int(each) if each == int(each) else each for each in values)
    told = [text for each in values for text in spec.mistakes({name: each}).values()]
    if told or not values:
        raise BadSearch(f"The search tries values that {name} cannot have: {'; '.join(told) or 'found none'}.")


def _holding(name: str, searched: Searched, start: Value) -> Searched:
    if not isinstance(searched, Range):
        return searched if start in searched else (start, *searched)
    if isinstance(start, bool | str):
        raise BadSearch(f"{name} is no number, so it has no range. Give the search its values.")
    if searched.log and min(start, searched.low) <= 0:
        raise BadSearch(f"{name} is {start}, which has no logarithm. Give the search its values, {start} among them.")
    if searched.low > searched.high:
        raise BadSearch(f"{name} would be searched from {searched.low:g} to {searched.high:g}. Turn them round.")
    return searched.holding(start)
