"""Models: what every kind promises, and the kinds by name. Nothing here imports a learning library until it learns."""

from quant_pipelines.models.data import Examples, Inputs
from quant_pipelines.models.failures import (
    BadParameter,
    BatchTooLarge,
    DeviceMissing,
    Diverged,
    NotLearnable,
    OutOfMemory,
    StateRefused,
    TrainingStopped,
    UnknownModel,
)
from quant_pipelines.models.forecaster import (
    ONE_THREAD,
    Description,
    Files,
    Fitting,
    Forecaster,
    History,
    Machine,
    Prepares,
    Step,
    Watch,
)
from quant_pipelines.models.kinds.qlib_classes import QLIB_CLASSES, refusal_of
from quant_pipelines.models.parameters import Parameter, Range, Searched, Value, Values
from quant_pipelines.models.spec import DEFAULT, ModelSettings, ModelSpec
from quant_pipelines.models.task import Task
from quant_pipelines.models.zoo import MODEL_KINDS, kind_named, spec_named

__all__ = [
    "DEFAULT",
    "MODEL_KINDS",
    "ONE_THREAD",
    "QLIB_CLASSES",
    "BadParameter",
    "BatchTooLarge",
    "Description",
    "DeviceMissing",
    "Diverged",
    "Examples",
    "Files",
    "Fitting",
    "Forecaster",
    "History",
    "Inputs",
    "Machine",
    "ModelSettings",
    "ModelSpec",
    "NotLearnable",
    "OutOfMemory",
    "Parameter",
    "Prepares",
    "Range",
    "Searched",
    "StateRefused",
    "Step",
    "Task",
    "TrainingStopped",
    "UnknownModel",
    "Value",
    "Values",
    "Watch",
    "kind_named",
    "refusal_of",
    "spec_named",
]
