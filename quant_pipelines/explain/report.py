"""The explanation of one model as one value: what it looks at, how far that holds, and single predictions."""

from typing import Any

from quant_pipelines.documents import Entry
from quant_pipelines.explain.importance import ColumnImpact, FamilyImpact, Stability
from quant_pipelines.explain.local import LocalExplanation


class Cloud(Entry, frozen=True):
    """A column's values and contributions, row by row; rows where the value is missing are left out."""

    feature: str
    values: tuple[float, ...]
    contributions: tuple[float, ...]


class Recency(Entry, frozen=True):
    """Mean size of what each session of the window contributes, the predicted one last."""

    importance: tuple[float, ...]


class ExplanationReport(Entry, frozen=True):
    """What a person wants to know of a model's predictions (S2-127, S2-128).

    `score` says which number is explained, `base` where it starts from. `largest_left` is the most that contributions
    miss of a prediction, and `tolerance` what they may miss.
    """

    model_id: str
    model_name: str
    model_kind: str
    snapshot: str
    method: str
    score: str
    settings: dict[str, Any]
    rows: int
    first: str
    last: str
    base: float
    largest_left: float
    tolerance: float
    columns: tuple[ColumnImpact, ...]
    families: tuple[FamilyImpact, ...]
    stability: Stability
    recency: Recency | None
    clouds: tuple[Cloud, ...]
    local: tuple[LocalExplanation, ...]

    @property
    def adds_up(self) -> bool:
        """Whether contributions reach every prediction within the tolerance."""
        return self.largest_left <= self.tolerance
