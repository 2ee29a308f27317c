"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable

LONGEST_SECONDS = 20.0


def waited_for(condition: Callable[[], bool]) -> bool:
    """Whether it became true in time."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()
