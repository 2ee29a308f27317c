"""Who is alive: every run holds a lock on a file of its own for as long as its process lives.

The operating system drops the lock when the process dies, whatever killed it. So a run that is
marked as running but whose lease is free is dead, and can be failed and retried (target R3).
"""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from quant_pipelines.errors import Conflict


class RunIsHeldElsewhere(Conflict):
    """Two processes claim to execute one run."""

    code = "QP401"


@contextmanager
def held_lease(folder: Path, run_id: str) -> Generator[None]:
    """Hold the run's lease; a second process with the same run is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / run_id
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunIsHeldElsewhere(
                f"Run {run_id} is already executed by another process. Let that one end."
            ) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def lease_is_free(folder: Path, run_id: str) -> bool:
    """True where nobody holds the run's lease: its process never came up, ended or was killed."""
    try:
        with (folder / run_id).open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True
