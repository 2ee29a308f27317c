"""What training and using a model can refuse."""

from quant_pipelines.errors import DataRejected, OperatorActionRequired, QuantPipelinesError, StoreDamaged


class UnknownModel(OperatorActionRequired, ValueError):
    """A kind of model that nobody registered (S2-24)."""

    code = "QP145"


class BadParameter(OperatorActionRequired, ValueError):
    """A hyper-parameter that the kind does not know, or a value outside its range."""

    code = "QP146"


class DeviceMissing(OperatorActionRequired):
    """A GPU was asked for where there is none."""

    code = "QP147"


class OutOfMemory(OperatorActionRequired):
    """A net needs more memory than there is, whatever its batch."""

    code = "QP166"


class BatchTooLarge(OutOfMemory):
    """Memory ran out over one batch of so many rows: a smaller one may fit (S2-110)."""

    code = "QP167"

    def __init__(self, rows: int, reason: str) -> None:
        super().__init__(
            f"Memory ran out over a batch of {rows} rows: {reason}. Use a smaller batch_size or net, or a larger "
            "machine."
        )
        self.rows = rows


class NotLearnable(DataRejected):
    """Examples from which nothing can be learned, or which the kind cannot read."""

    code = "QP273"


class Diverged(DataRejected):
    """The loss or a prediction became infinite or NaN."""

    code = "QP274"


class StateRefused(StoreDamaged):
    """Files that are not the state of such a model."""

    code = "QP560"


class TrainingStopped(QuantPipelinesError):
    """Somebody stopped the training (S2-46); nothing of it is kept."""

    code = "QP001"
