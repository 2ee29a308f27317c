"""Which settings are tried next, and which are given up early: Optuna, told nothing but what was recorded.

Every trial's draw has a seed of its own, made of the search's seed and the trial's number. So a search that was
killed goes on with the trials that it would have had.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from quant_pipelines.models import Range, Searched, Value, Values
from quant_pipelines.training.search_result import TrialRow

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution

# The median of fewer says little.
_FEWEST_TO_PRUNE = 4
_FEWEST_TO_TELL_IMPORTANCE = 10


class Sampling:
    """Tree-structured Parzen estimators over the trials that ended; the first ten are drawn at random."""

    def __init__(self, space: Mapping[str, Searched], start: Values, *, least_is_best: bool, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        whole = {name: isinstance(start[name], int) and not isinstance(start[name], bool) for name in space}
        self._space = {name: _distribution(each, whole=whole[name]) for name, each in sorted(space.items())}
        self._start = {name: start[name] for name in self._space}
        self._seed = seed
        self._study: Study = optuna.create_study(
            direction="minimize" if least_is_best else "maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_FEWEST_TO_PRUNE),
        )
        self._trials: dict[int, Trial] = {}

    def remember(self, rows: Iterable[TrialRow]) -> None:
        """Take over trials of an earlier process, in their order."""
        import optuna

        states = {"completed": optuna.trial.TrialState.COMPLETE, "pruned": optuna.trial.TrialState.PRUNED}
        for row in rows:
            if row.state in states:
                self._study.add_trial(
                    optuna.trial.create_trial(
                        state=states[row.state],
                        value=_mean(row.values),
                        params=dict(row.parameters),
                        distributions=self._space,
                        intermediate_values={step: _mean(row.values[: step + 1]) for step in range(len(row.values))},
                    )
                )

    def ask(self, number: int, again: Values | None = None) -> dict[str, Value]:
        """The settings of a trial: the start's for the first, those it had before where it was cut."""
        import optuna

        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        known = self._start if number == 0 else again
        if known is not None:
            self._study.enqueue_trial(dict(known))
        trial = self._study.ask(self._space)
        self._trials[number] = trial
        return dict(trial.params)

    def is_hopeless(self, number: int, values: list[float]) -> bool:
        """Whether the mean of the folds so far is worse than the median of the trials before at the same fold."""
        trial = self._trials[number]
        trial.report(_mean(values), step=len(values) - 1)
        return trial.should_prune()

    def tell(self, row: TrialRow) -> None:
        """Say how a trial ended."""
        import optuna

        trial, state = self._trials.pop(row.number), optuna.trial.TrialState.FAIL
        if row.state == "completed":
            self._study.tell(trial, row.value)
        else:
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED if row.state == "pruned" else state)

    def importance(self) -> dict[str, float] | None:
        """Each hyper-parameter's share, the greatest first; None where too few trials ended, or all are equal."""
        import optuna

        done = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        if len(done) < _FEWEST_TO_TELL_IMPORTANCE or len({each.value for each in done}) == 1:
            return None
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return {name: float(share) for name, share in found.items()}


def _distribution(searched: Searched, *, whole: bool) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(searched, Range):
        return CategoricalDistribution(searched)
    if whole:
        return IntDistribution(int(searched.low), int(searched.high), log=searched.log)
    return FloatDistribution(searched.low, searched.high, log=searched.log)


def _mean(values: Any) -> float:
    return float(np.mean(values))
