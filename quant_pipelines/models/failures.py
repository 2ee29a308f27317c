"""What training and using a model can refuse."""

from quant_pipelines.errors import DataRejected, OperatorActionRequired, QuantPipelinesError, StoreDamaged


class UnknownModel(OperatorActionRequired, ValueError):
    """A kind of model that nobody registered (S2-24)."""

    code = "QP160"


class BadParameter(OperatorActionRequired, ValueError):
    """A hyper-parameter that the kind does not know, or a value outside its range."""

    code = "QP161"


class DeviceMissing(OperatorActionRequired):
    """A GPU was asked for where there is none."""

    code = "QP162"


class NotLearnable(DataRejected):
    """Examples from which nothing can be learned, or which the kind cannot read."""

    code = "QP260"


class Diverged(DataRejected):
    """The loss or a prediction became infinite or NaN."""

    code = "QP261"


class StateRefused(StoreDamaged):
    """Files that are not the state of such a model."""

    code = "QP560"


class TrainingStopped(QuantPipelinesError):
    """Somebody stopped the training (S2-46); nothing of it is kept."""

    code = "QP001"
