"""pyqlib's globals, borrowed for one call: its recorder, and the generators of chance that its models seed.

Without `qlib.init` nothing of it touches the exception hook, the end of the process, or MLflow's address; what its
models ask of an experiment is answered here.
"""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np

from quant_pipelines.models.forecaster import Machine

_ONE_AT_A_TIME = RLock()


class _Unrecorded:
    """Answers where pyqlib's models look for an experiment; what they measured is read elsewhere."""

    def get_recorder(self, **named: Any) -> "_Unrecorded":
        del named
        return self

    def log_metrics(self, step: int | None = None, **metrics: float) -> None: ...


@contextmanager
def borrowed(machine: Machine, *, with_torch: bool) -> Generator[None]:
    """Everything global as it was, afterwards; one model at a time."""
    from qlib.workflow import R

    held, log = vars(R), logging.getLogger("qlib")
    with _ONE_AT_A_TIME:
        chance = np.random.get_state()  # noqa: NPY002 - pyqlib uses the global generator
        before, level = held["_provider"], log.level
        held["_provider"] = _Unrecorded()
        log.setLevel(logging.WARNING)
        try:
            with _torch(machine) if with_torch else _nothing():
                yield
        finally:
            held["_provider"] = before
            log.setLevel(level)
            np.random.set_state(chance)  # noqa: NPY002


@contextmanager
def _torch(machine: Machine) -> Generator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(machine.threads)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _nothing() -> Generator[None]:
    yield
