"""What labels refuse, by who must act."""

from typing import ClassVar

from quant_pipelines.errors import DataRejected, OperatorActionRequired


class BadLabelInput(DataRejected):
    """Prices from which no label can be made honestly."""

    code: ClassVar[str] = "QP260"


class BadLabelSettings(OperatorActionRequired):
    """A label set, horizon or weight that has no meaning."""

    code: ClassVar[str] = "QP261"
