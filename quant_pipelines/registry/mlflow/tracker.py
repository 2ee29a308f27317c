"""Runs in MLflow, watched while they happen."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mlflow.entities import Metric, Param, Run, RunTag

from quant_pipelines.clock import Clock
from quant_pipelines.registry.mlflow.client import Mlflow
from quant_pipelines.registry.mlflow.place import Place
from quant_pipelines.registry.tracker import FLUSH_SECONDS, Buffer, Measured, RunState, Status

_PARENT, _RUNNING = "mlflow.parentRunId", "RUNNING"
_FINISHED: Status = "FINISHED"
# MLflow takes 6000 characters and 100 values at once.
_PARAM_LENGTH, _PARAMS_TOGETHER = 5_000, 100


class MlflowRuns:
    """One experiment for each market."""

    def __init__(self, place: Place, *, clock: Clock, every_seconds: float = FLUSH_SECONDS) -> None:
        self._mlflow = Mlflow(place)
        self._clock = clock
        self._every = every_seconds

    def start(
        self,
        market: str,
        name: str,
        *,
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        parent: str | None = None,
    ) -> "MlflowRun":
        experiment = self._mlflow.experiment(market)
        given = {**(tags or {}), **({_PARENT: parent} if parent else {})}
        with self._mlflow.in_our_words():
            run = self._mlflow.client.create_run(
                experiment, start_time=int(self._clock.now().timestamp() * 1000), tags=given, run_name=name
            )
        started = self.run(run.info.run_id)
        started.log_params(params or {})
        return started

    def run(self, run_id: str) -> "MlflowRun":
        return MlflowRun(self._mlflow, run_id, clock=self._clock, every_seconds=self._every)

    def running(self, tag: str) -> Mapping[str, str]:
        chosen = f"attributes.status = '{_RUNNING}'"
        experiments = self._experiments()
        ask = self._mlflow.client.search_runs
        found = self._mlflow.all(ask, experiment_ids=experiments, filter_string=chosen) if experiments else []
        return {each.info.run_id: each.data.tags[tag] for each in found if tag in each.data.tags}

    def newest(self, tag: str, value: str) -> RunState | None:
        experiments, newest_first = self._experiments(), ["attributes.start_time DESC"]
        if not experiments:
            return None
        with self._mlflow.in_our_words():
            found = self._mlflow.client.search_runs(
                experiments, f"tags.`{tag}` = '{value}'", max_results=1, order_by=newest_first
            )
        return _state(self._mlflow, found[0]) if found else None

    def abandon(self, run_id: str, status: Status, *, why: str) -> bool:
        with self._mlflow.in_our_words():
            if self._mlflow.client.get_run(run_id).info.status != _RUNNING:
                return False
        run = self.run(run_id)
        run.set_tags({"abandoned": why})
        run.end(status)
        return True

    def _experiments(self) -> list[str]:
        return [each.experiment_id for each in self._mlflow.all(self._mlflow.client.search_experiments)]


class MlflowRun:
    """One run."""

    def __init__(self, mlflow: Mlflow, run_id: str, *, clock: Clock, every_seconds: float) -> None:
        self._mlflow = mlflow
        self._clock = clock
        with mlflow.in_our_words():
            self._info = mlflow.client.get_run(run_id).info
        self._buffer = Buffer(self._send, clock=clock, every_seconds=every_seconds)

    @property
    def id(self) -> str:
        return str(self._info.run_id)

    @property
    def url(self) -> str:
        return _page(self._mlflow, self._info)

    @property
    def finished(self) -> bool:
        return self._info.status == _FINISHED

    def log_metrics(self, metrics: Mapping[str, float], *, step: int, tags: Mapping[str, str] | None = None) -> None:
        self._buffer.add(metrics, step=step, tags=tags)

    def announce(self, tags: Mapping[str, str]) -> None:
        self._buffer.announce(tags)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Values that are longer than MLflow takes are cut; the whole ones are in the version's manifest."""
        given = [Param(key, str(value)[:_PARAM_LENGTH]) for key, value in params.items()]
        with self._mlflow.in_our_words():
            for first in range(0, len(given), _PARAMS_TOGETHER):
                self._mlflow.client.log_batch(self.id, params=given[first : first + _PARAMS_TOGETHER])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        with self._mlflow.in_our_words():
            self._mlflow.client.log_batch(self.id, tags=_written(tags))

    def log_text(self, text: str, path: str) -> None:
        self.log_bytes(text.encode(), path)

    def log_bytes(self, data: bytes, path: str) -> None:
        self._mlflow.put(str(self._info.artifact_uri), path, data)

    def end(self, status: Status = _FINISHED) -> None:
        """Deliver what is left, then end the run; it stays open where that fails, and can be ended again."""
        self._buffer.close()
        at_ms = int(self._clock.now().timestamp() * 1000)
        with self._mlflow.in_our_words():
            self._mlflow.client.set_terminated(self.id, status, at_ms)

    def _send(self, measured: Sequence[Measured], tags: Mapping[str, str]) -> None:
        metrics = [Metric(each.name, each.value, each.at_ms, each.step) for each in measured]
        with self._mlflow.in_our_words():
            self._mlflow.client.log_batch(self.id, metrics=metrics, tags=_written(tags))


def _written(tags: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(key, value) for key, value in tags.items()]


def _page(mlflow: Mlflow, info: Any) -> str:
    return f"{mlflow.place.page}/#/experiments/{info.experiment_id}/runs/{info.run_id}"


def _state(mlflow: Mlflow, run: Run) -> RunState:
    info: Any = run.info
    return RunState(
        id=info.run_id,
        url=_page(mlflow, info),
        status=info.status,
        began=_moment(info.start_time),
        ended=_moment(info.end_time) if info.end_time else None,
        tags=run.data.tags,
        metrics=run.data.metrics,
    )


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
