"""Runs while they happen: what a tracker promises, and metrics that never hold up who measures them."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from quant_pipelines.clock import Clock
from quant_pipelines.errors import DependencyFailed
from quant_pipelines.registry.failures import NotLogged

Status = Literal["FINISHED", "FAILED", "KILLED"]
FLUSH_SECONDS = 2.0
# How long the end of a run waits for what is not delivered yet.
LAST_SECONDS = 30.0
# MLflow takes 1000 metrics and tags at once.
_TOGETHER = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One value of one metric, at one step."""

    name: str
    value: float
    step: int
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What is known of a run now: of every metric the value of its last step."""

    id: str
    url: str
    status: Status | Literal["RUNNING"]
    began: datetime
    ended: datetime | None
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


class TrackedRun(Protocol):
    """One run that somebody watches."""

    @property
    def id(self) -> str: ...

    @property
    def url(self) -> str:
        """The run's page."""
        ...

    @property
    def finished(self) -> bool:
        """Whether it had ended well when it was opened."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], *, step: int, tags: Mapping[str, str] | None = None) -> None:
        """Never waits and never fails: what cannot be delivered now is delivered later, at the latest by `end`.

        Tags that are given with metrics are delivered with them.
        """
        ...

    def announce(self, tags: Mapping[str, str]) -> None:
        """Tags on the way of the metrics, after those that were logged before: of each the newest value arrives."""
        ...

    def log_params(self, params: Mapping[str, object]) -> None: ...

    def set_tags(self, tags: Mapping[str, str]) -> None: ...

    def log_text(self, text: str, path: str) -> None: ...

    def log_bytes(self, data: bytes, path: str) -> None: ...

    def end(self, status: Status = "FINISHED") -> None:
        """Deliver what is left and end the run. NotLogged where something could not be delivered."""
        ...


class Tracker(Protocol):
    """Where runs are kept: one experiment for each market."""

    def start(
        self,
        market: str,
        name: str,
        *,
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        parent: str | None = None,
    ) -> TrackedRun: ...

    def run(self, run_id: str) -> TrackedRun:
        """The run as it is, open or ended: to end it after its process has died, or to put another file beside it."""
        ...

    def running(self, tag: str) -> Mapping[str, str]:
        """What the tag says of every run that has it and has not ended, by the run's id."""
        ...

    def newest(self, tag: str, value: str) -> RunState | None:
        """The run that began last of those whose tag has this value."""
        ...

    def abandon(self, run_id: str, status: Status, *, why: str) -> bool:
        """End a run on behalf of a process that is gone; False where it has ended by itself."""
        ...


Send = Callable[[Sequence[Measured], Mapping[str, str]], None]


class Buffer:
    """Metrics and tags on their way: kept in memory, sent by a thread of its own, and again after a failure.

    Metrics keep their order. Of a tag only the newest value is kept, and it goes with the last of the metrics.
    """

    def __init__(self, send: Send, *, clock: Clock, every_seconds: float = FLUSH_SECONDS) -> None:
        self._send = send
        self._clock = clock
        self._every = every_seconds
        self._waiting: list[Measured] = []
        self._tags: dict[str, str] = {}
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._ended = threading.Event()
        self._failure: DependencyFailed | None = None
        self._thread: threading.Thread | None = None

    def add(self, metrics: Mapping[str, float], *, step: int, tags: Mapping[str, str] | None = None) -> None:
        at_ms = int(self._clock.now().timestamp() * 1000)
        found = [Measured(name=name, value=float(value), step=step, at_ms=at_ms) for name, value in metrics.items()]
        with self._lock:
            self._waiting += found
            self._tags |= tags or {}
            self._begin()

    def announce(self, tags: Mapping[str, str]) -> None:
        with self._lock:
            self._tags |= tags
            self._begin()

    def close(self, *, seconds: float = LAST_SECONDS) -> None:
        """Deliver what is left; NotLogged where that fails."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(seconds)
            if not self._thread.is_alive():
                self.flush()
        with self._lock:
            left = len(self._waiting) + len(self._tags)
        if left:
            raise NotLogged(
                f"{left} values were not delivered: {self._failure or 'it took too long'} "
                "The training itself is done; end the run again when MLflow answers."
            )

    def flush(self) -> None:
        """Send all that waits now; what cannot be sent goes on waiting."""
        with self._sending:
            while True:
                with self._lock:
                    batch = self._waiting[:_TOGETHER]
                    tags = dict(self._tags) if len(batch) == len(self._waiting) else {}
                if not batch and not tags:
                    return
                try:
                    self._send(batch, tags)
                except DependencyFailed as error:
                    self._failure = error
                    return
                with self._lock:
                    del self._waiting[: len(batch)]
                    self._tags = {name: each for name, each in self._tags.items() if tags.get(name) != each}

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="tracked metrics", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            self.flush()
        self.flush()
