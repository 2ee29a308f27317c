"""What a probe fits and scores, and how much a score knows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.validation.correlations import mean_ic
from quant_pipelines.validation.failures import BadTrial

Vector = NDArray[np.float64]
Features = NDArray[np.floating[Any]]
# Train features, train labels, test features -> one score per test row. Equal inputs must give equal scores.
FitScore = Callable[[Features, Vector, Features], Vector]


@dataclass(frozen=True, eq=False, kw_only=True)
class Trial:
    """Rows to train and to test on. Rows of one `test_blocks` number are ranked against each other, in order of time.

    A block is a session of a panel; for a single symbol it is a stretch of sessions, such as a month.
    """

    train_x: Features
    train_y: Vector
    test_x: Features
    test_y: Vector
    test_blocks: NDArray[np.int64]

    def __post_init__(self) -> None:
        shapes = (
            self.train_x.shape[:1] == self.train_y.shape,
            self.test_x.shape[:1] == self.test_y.shape == self.test_blocks.shape,
            self.train_x.shape[1:] == self.test_x.shape[1:],
        )
        if not all(shapes):
            raise BadTrial(
                f"A trial of {self.train_x.shape} train features and {self.train_y.shape} labels, {self.test_x.shape} "
                f"test features, {self.test_y.shape} labels and {self.test_blocks.shape} blocks does not fit together. "
                "Give a label for each row, a block for each test row, and the same columns on both sides."
            )
        if not (np.isfinite(self.train_y).all() and np.isfinite(self.test_y).all()):
            raise BadTrial("A label is missing or infinite. Leave such rows out of the trial.")

    def scores(self, fit_score: FitScore) -> Vector:
        """The pipeline's scores of the test rows, one for each."""
        scores = np.asarray(fit_score(self.train_x, self.train_y, self.test_x), np.float64)
        if scores.shape != self.test_y.shape or not np.isfinite(scores).all():
            raise BadTrial(
                f"The pipeline gave scores of shape {scores.shape}, some of them missing or infinite, for "
                f"{self.test_y.size} test rows. It must give one finite score for each."
            )
        return scores

    def skill(self, fit_score: FitScore) -> float:
        """Mean IC over the test blocks; NaN where no block can be ranked."""
        return mean_ic(self.scores(fit_score), self.test_y, self.test_blocks)

    def with_labels(self, train_y: Vector) -> "Trial":
        """The same rows with other labels to learn from; the tested ones stay."""
        return replace(self, train_y=train_y)

    def with_columns(self, train: Features, test: Features) -> "Trial":
        """The same rows with more features."""
        return replace(self, train_x=np.hstack([self.train_x, train]), test_x=np.hstack([self.test_x, test]))
