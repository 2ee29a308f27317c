"""A database that goes away for some seconds fails nothing: what was asked of it is asked again (target R4).

Dagster 1.13 tries again to connect, for six seconds. It does not try again what was under way when the server went
down: a run that was just reading its status or writing an event failed at once.
"""

import inspect
import logging
import time
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, TypeVar

from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import DBAPIError, OperationalError

_T = TypeVar("_T")
_C = TypeVar("_C", bound=type)

_log = logging.getLogger(__name__)
# A restart takes seconds, a failover less than a minute.
OUTAGE_SECONDS = 60.0
_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 5.0
# Connections that failed, and a server that shuts down, starts up or recovers.
_OUTAGES = ("08", "57P")


def outlast(call: Callable[[bool], _T], *, seconds: float) -> _T:
    """Call until it is answered, or raise what it raised when the time is over.

    The call is told whether it is repeated: then the earlier one may have gone through, and only its answer was lost.
    """
    ends = time.monotonic() + seconds
    wait = _FIRST_WAIT_SECONDS
    repeated = False
    while True:
        try:
            return call(repeated)
        except (DBAPIError, DagsterPostgresException) as error:
            left = ends - time.monotonic()
            if left <= 0 or not is_outage(error):
                raise
            _log.warning("Dagster's database does not answer; trying again for %.0f s: %s", left, _cause(error))
        time.sleep(min(wait, max(left, 0)))
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
        repeated = True


def is_outage(error: BaseException | None) -> bool:
    """True where the server is away, false where it refused what it was asked."""
    if isinstance(error, DagsterPostgresException):
        return is_outage(error.__cause__)  # it gave up to connect
    if not isinstance(error, DBAPIError):
        return False
    code = getattr(error.orig, "pgcode", None)
    unanswered = isinstance(error, OperationalError) and (code is None or code.startswith(_OUTAGES))
    return error.connection_invalidated or unanswered


def _cause(error: BaseException) -> object:
    cause = error.__cause__ if isinstance(error, DagsterPostgresException) else error
    return cause.orig if isinstance(cause, DBAPIError) else error


def outlasting(promised_by: type, *, but: Collection[str]) -> Callable[[_C], _C]:
    """Every public method of the interface outlasts an outage, but those that may not be repeated."""
    names = [name for name, method in vars(promised_by).items() if inspect.isfunction(method) and name[0] != "_"]
    unknown = set(but) - set(names)
    if unknown:
        raise ValueError(f"{promised_by.__name__} has no {sorted(unknown)}. Dagster moved them; look where to.")

    def decorate(kind: _C) -> _C:
        for name in names:
            if name not in but:
                setattr(kind, name, _patient(getattr(kind, name)))
        return kind

    return decorate


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def asked(self: Any, *arguments: Any, **named: Any) -> Any:
        return outlast(lambda _: method(self, *arguments, **named), seconds=self.outage_seconds)

    return asked
