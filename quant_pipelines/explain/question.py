"""What an explainer is asked."""

from dataclasses import dataclass, replace
from typing import Any

from quant_pipelines.explain.reference import Reference
from quant_pipelines.explain.settings import STANDARD, ExplainSettings
from quant_pipelines.models import ONE_THREAD, Inputs, Machine


@dataclass(frozen=True, eq=False, kw_only=True)
class Question:
    """Rows to explain, and the point that they are compared with (length x columns)."""

    inputs: Inputs
    reference: Reference
    settings: ExplainSettings = STANDARD
    machine: Machine = ONE_THREAD

    def __len__(self) -> int:
        return len(self.inputs)

    def rows(self, chosen: Any) -> "Question":
        """The same about some of the rows."""
        return replace(self, inputs=self.inputs.rows(chosen))
