"""How a model is explained."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from quant_pipelines.errors import OperatorActionRequired


class ExplanationRefused(OperatorActionRequired, ValueError):
    """What was asked for cannot be explained."""

    code: ClassVar[str] = "QP195"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainSettings:
    """`seed` decides every draw, so equal settings explain equally.

    `n_samples` rows of `part` are explained, and compared with the mean of `reference_rows` training rows.
    `tolerance` is how far contributions may be from adding up, times the prediction where that is above 1;
    `most_steps` is how many gradients of a net are taken for a row at most. Where these do not do, the model is asked
    about every coalition of up to `exact_columns` columns, and along `permutations` orders of more.
    """

    seed: int = 0
    n_samples: int = 500
    part: Literal["train", "validation"] = "validation"
    reference_rows: int = 256
    tolerance: float = 1e-6
    most_steps: int = 512
    exact_columns: int = 10
    permutations: int = 8
    folds: int = 5
    strongest: int = 10

    def __post_init__(self) -> None:
        counts = (self.n_samples, self.reference_rows, self.most_steps, self.permutations, self.folds, self.strongest)
        if min(counts) < 1 or self.exact_columns < 0 or not 0 < self.tolerance < 1:
            raise ExplanationRefused(
                f"{self} has no meaning: counts are 1 or more, and the tolerance is between 0 and 1."
            )


STANDARD = ExplainSettings()
