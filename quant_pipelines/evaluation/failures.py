"""What evaluation refuses, by who must act."""

from typing import ClassVar

from quant_pipelines.errors import DataRejected, OperatorActionRequired


class BadEvaluation(OperatorActionRequired):
    """A measurement that has no meaning: settings out of range, or a task it is not made for."""

    code: ClassVar[str] = "QP198"


class RowsDiffer(DataRejected):
    """Forecasts, outcomes or prices that do not belong to the same rows, or outcomes that are not known."""

    code: ClassVar[str] = "QP290"


class MadeUpReturns(DataRejected):
    """Returns that no prices made."""

    code: ClassVar[str] = "QP291"
