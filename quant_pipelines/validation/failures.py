"""What splits and probes refuse, by who must act."""

from typing import ClassVar

from quant_pipelines.errors import DataRejected, OperatorActionRequired


class BadSpans(DataRejected):
    """Rows whose label spans cannot be split without a doubt."""

    code: ClassVar[str] = "QP262"


class BadSplitSettings(OperatorActionRequired):
    """A split or probe that has no meaning."""

    code: ClassVar[str] = "QP263"


class BadTrial(OperatorActionRequired):
    """A pipeline that cannot be probed: its rows, columns and scores do not fit together."""

    code: ClassVar[str] = "QP264"
