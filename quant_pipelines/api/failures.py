"""What the API refuses, by who must act; and the HTTP status of every error that may reach it."""

from collections.abc import Iterable, Mapping
from typing import Any

from quant_pipelines.errors import (
    Conflict,
    DataRejected,
    DependencyFailed,
    OperatorActionRequired,
    QuantPipelinesError,
)
from quant_pipelines.training import UnknownTraining


class UnknownStrategy(OperatorActionRequired):
    """A strategy that strategies.yaml does not have and that never had a rollout."""

    code = "QP114"


class WritingIsOff(OperatorActionRequired):
    """Something was sent to an API, or is to be, that has no token to know its senders by."""

    code = "QP115"


class NotAuthorised(OperatorActionRequired):
    """No token, or another one."""

    code = "QP116"


class NoSuchEndpoint(OperatorActionRequired):
    """A path, or a method of it, that the API does not have."""

    code = "QP117"


class BadRequest(DataRejected):
    """A request that is not what its schema says, or that contradicts itself."""

    code = "QP239"


# The first that fits. Everything else needs whoever runs the API: damaged stores, settings, and mistakes of ours.
_STATUS: tuple[tuple[type[QuantPipelinesError], int], ...] = (
    (NotAuthorised, 401),
    (WritingIsOff, 403),
    (UnknownStrategy, 404),
    (UnknownTraining, 404),
    (NoSuchEndpoint, 404),
    (Conflict, 409),
    (DataRejected, 422),
    (DependencyFailed, 503),
)
_OTHERWISE = 500


def status_of(error: QuantPipelinesError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), _OTHERWISE)


def told_of(mistakes: Iterable[Mapping[str, Any]]) -> str:
    """What pydantic found wrong, in one line."""
    return "; ".join(": ".join(filter(None, (".".join(map(str, each["loc"])), each["msg"]))) for each in mistakes)
