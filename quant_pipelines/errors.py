"""Errors, by who must act. Every one says what was found, what was expected and what to do."""

from typing import ClassVar


class QuantPipelinesError(Exception):
    """Root of every error this project raises on purpose."""

    code: ClassVar[str] = "QP000"


def code_of(name: str) -> str | None:
    """The code of an error that is known by the name of its class only, as in another process's report."""
    pending: list[type[QuantPipelinesError]] = [QuantPipelinesError]
    while pending:
        kind = pending.pop()
        if kind.__name__ == name:
            return kind.code
        pending += kind.__subclasses__()
    return None


class OperatorActionRequired(QuantPipelinesError):
    """A person must change configuration, the machine or a decision; retrying cannot help."""

    code: ClassVar[str] = "QP100"


class DataRejected(QuantPipelinesError):
    """The data is not what its promise says; whoever delivers it must act."""

    code: ClassVar[str] = "QP200"


class DependencyFailed(QuantPipelinesError):
    """Something outside failed (network, database, disk); retrying later may help."""

    code: ClassVar[str] = "QP300"


class Conflict(QuantPipelinesError):
    """Somebody else changed the same thing first; look again, then decide."""

    code: ClassVar[str] = "QP400"


class StoreDamaged(QuantPipelinesError):
    """Stored bytes are not what was written; nothing is served from them."""

    code: ClassVar[str] = "QP500"
