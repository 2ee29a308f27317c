"""While a run publishes, nobody can end it (target R2).

To ask for the run's status right before a commit is not enough: a run that is marked failed between the question
and the commit would still publish that one commit. So the run is held: its status is read and cannot change until
the commit is done. Whoever ends the run waits that long, or was first and the commit is refused. What holds it is
gone when the process dies, whatever killed it.
"""

from abc import abstractmethod
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import dagster as dg
from dagster._core.storage.runs import SqlRunStorage

from quant_pipelines.errors import Conflict, DependencyFailed

_ALIVE = frozenset({dg.DagsterRunStatus.STARTING.value, dg.DagsterRunStatus.STARTED.value})


class RunIsOver(Conflict):
    """The run was ended while its process lived on; what it computed is not published (target R2)."""

    code = "QP402"


class RunCannotBeHeld(DependencyFailed):
    """Dagster's storage did not answer, so nobody knows whether the run still counts."""

    code = "QP340"

    def __init__(self, run_id: str, reason: object) -> None:
        super().__init__(
            f"Whether run {run_id} still counts cannot be told, so it publishes nothing now: {reason}. "
            "It tries again by itself; see that Dagster's database is up and its disk has room."
        )


class HoldsRuns(SqlRunStorage):
    """A storage of runs that can keep a run from being ended."""

    @abstractmethod
    def held(self, run_id: str) -> AbstractContextManager[str | None]:
        """The run's status, which stays as it is until the block is left; None where there is no such run."""


@contextmanager
def publishing(instance: dg.DagsterInstance, run_id: str) -> Generator[None]:
    """Publish inside: nobody ends the run before the block is left. Raises RunIsOver where somebody did already."""
    with _held(instance, run_id) as status:
        if status not in _ALIVE:
            raise RunIsOver(f"Run {run_id} is {status or 'deleted'}, so it publishes nothing. Launch it again.")
        yield


def _held(instance: dg.DagsterInstance, run_id: str) -> AbstractContextManager[str | None]:
    storage = instance.run_storage
    if isinstance(storage, HoldsRuns):
        return storage.held(run_id)
    # An instance that lives in memory, or in a test of something else: it is asked, as nobody else could end the run.
    run = instance.get_run_by_id(run_id)
    return nullcontext(None if run is None else run.status.value)
