"""What each session says of each factor: the series that a report over any span is a summary of."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.features.effectiveness import measures
from quant_pipelines.features.effectiveness.measures import Matrix
from quant_pipelines.features.effectiveness.settings import ReportRefused, ReportSettings

# One row per factor, one column per session.
Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Daily:
    """Series of factors. Those about a return of h sessions stand at the session that the return begins in."""

    ic: Series
    rank_ic: Mapping[int, Series]
    excess: NDArray[np.float64]
    turnover: Series
    rank_autocorrelation: Series
    coverage: Series

    @classmethod
    def of(
        cls,
        factors: Iterable[Matrix],
        returns: Mapping[int, Matrix],
        listed: NDArray[np.bool_],
        settings: ReportSettings,
        *,
        threads: int = 1,
    ) -> "Daily":
        """Measure each factor by itself; all matrices are (sessions x symbols)."""
        if settings.horizon_sessions not in returns:
            raise ReportRefused(
                f"Forward returns over {settings.horizon_sessions} sessions are missing; there are {sorted(returns)}."
            )
        with ThreadPoolExecutor(threads) as pool:
            return cls.joined(list(pool.map(lambda values: _measured(values, returns, listed, settings), factors)))

    @classmethod
    def joined(cls, parts: Sequence["Daily"]) -> "Daily":
        """The factors of all parts, in order."""
        return cls(
            ic=np.concatenate([part.ic for part in parts]),
            rank_ic={
                horizon: np.concatenate([part.rank_ic[horizon] for part in parts]) for horizon in parts[0].rank_ic
            },
            excess=np.concatenate([part.excess for part in parts]),
            turnover=np.concatenate([part.turnover for part in parts]),
            rank_autocorrelation=np.concatenate([part.rank_autocorrelation for part in parts]),
            coverage=np.concatenate([part.coverage for part in parts]),
        )

    def between(self, first: int, end: int, *, horizon: int) -> "Daily":
        """The sessions from `first` up to and without `end`, as somebody at the close of the last one knew them.

        A return that had not closed by then was not known.
        """
        return Daily(
            ic=self.ic[:, first : max(first, end - horizon)],
            rank_ic={each: series[:, first : max(first, end - each)] for each, series in self.rank_ic.items()},
            excess=self.excess[:, :, first : max(first, end - horizon)],
            turnover=self.turnover[:, first:end],
            rank_autocorrelation=self.rank_autocorrelation[:, first:end],
            coverage=self.coverage[:, first:end],
        )


def _measured(
    values: Matrix, returns: Mapping[int, Matrix], listed: NDArray[np.bool_], settings: ReportSettings
) -> Daily:
    """One factor."""
    forward, fewest = returns[settings.horizon_sessions], settings.fewest_names
    labels = measures.quantile_labels(values, settings.quantiles)
    ends = np.stack([measures.turnover(labels, quantile) for quantile in (1, settings.quantiles)])
    return Daily(
        ic=measures.ic(values, forward, fewest_names=fewest)[None],
        rank_ic={each: measures.rank_ic(values, returns[each], fewest_names=fewest)[None] for each in sorted(returns)},
        excess=measures.quantile_excess(labels, forward, settings.quantiles)[None],
        turnover=measures.nan_mean(ends, axis=0)[None],
        rank_autocorrelation=measures.rank_autocorrelation(values)[None],
        coverage=measures.coverage(values, listed)[None],
    )
