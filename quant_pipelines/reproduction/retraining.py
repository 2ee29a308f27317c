"""A stored version, trained again from its manifest and its snapshot, and compared with what is stored."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from quant_pipelines.clock import Clock
from quant_pipelines.digest import digest_bytes
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.models import ONE_THREAD, Forecaster, Machine, spec_named
from quant_pipelines.registry import settings_of
from quant_pipelines.reproduction.checks import Check, check
from quant_pipelines.serving import Stored, inputs_of
from quant_pipelines.snapshots import SnapshotArrays, SnapshotStore, load
from quant_pipelines.strategies import Strategy
from quant_pipelines.training import Engine, Listener, Order, Surroundings, Trained, surroundings_of
from quant_pipelines.training.surroundings import DEVICE, THREADS

# asked of numbers where code, libraries or processor differ, so that bits may.
REPLAY_TOLERANCE = 1e-6
EXACT = 0.0


class NotTrainableAgain(OperatorActionRequired):
    """A version whose strategy this code cannot read any more."""

    code = "QP158"


class BadTolerance(OperatorActionRequired):
    """A tolerance under which nothing, or everything, would be equal."""

    code = "QP149"


@dataclass(frozen=True, eq=False, kw_only=True)
class Again:
    """A version that was trained a second time. `differences` say why bits may differ here, in words."""

    stored: Stored
    trained: Trained
    model: Forecaster
    differences: tuple[str, ...]
    tolerance: float
    checks: tuple[Check, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Retrainer:
    """Trains into nothing: no store, no run in MLflow, and no row in the ledger.

    The ledger counts chances to be lucky. The same order again is none: nothing can come out that was not there
    before, and nothing that comes out is kept.
    """

    snapshots: SnapshotStore
    here: Surroundings
    clock: Clock
    listener: Listener
    machine: Machine = ONE_THREAD
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.tolerance is not None and not 0 <= self.tolerance < inf:
            raise BadTolerance(
                f"The tolerance is {self.tolerance}. Give the share of itself by which a number may differ, from 0 on."
            )

    def again(self, stored: Stored) -> Again:
        """Train the version's order once more, and compare. Without a tolerance of its own it asks for equal bits
        where everything is as it was, and for REPLAY_TOLERANCE elsewhere."""
        differences = tuple(self.here.differences(surroundings_of(stored.manifest)))
        tolerance = self.tolerance
        if tolerance is None:
            tolerance = REPLAY_TOLERANCE if differences else EXACT
        order, arrays = order_of(stored, self.machine), load(self.snapshots, stored.document)
        trained = Engine(
            clock=self.clock, listener=self.listener, longest_seconds=order.strategy.retrain.longest_seconds
        ).train(order, arrays)
        model = spec_named(order.settings.kind).make(order.settings, trained.files)
        compared = _Compared(stored, trained, model, arrays, tolerance)
        return Again(
            stored=stored,
            trained=trained,
            model=model,
            differences=differences,
            tolerance=tolerance,
            checks=tuple(compared.checks()),
        )


def order_of(stored: Stored, machine: Machine = ONE_THREAD) -> Order:
    """What was ordered, from what the version says about itself; `machine` gives the threads that it does not say."""
    manifest, facts = stored.manifest, stored.manifest.facts
    try:
        strategy = Strategy.model_validate(stored.document.recipe.configuration)
    except ValidationError as error:
        raise NotTrainableAgain(
            f"The strategy of {stored.version.name} cannot be read by this code: {error.errors()[0]['msg']}. Use the "
            f"code that wrote it: {manifest.code_version}."
        ) from error
    threads, device = facts.get(THREADS), facts.get(DEVICE)
    return Order(
        strategy=strategy,
        snapshot_id=manifest.snapshot_id,
        settings=settings_of(manifest),
        seed=manifest.seed,
        code_version=manifest.code_version,
        machine=Machine(
            threads=threads if isinstance(threads, int) else machine.threads,
            device=cast("Literal['cpu', 'cuda', 'auto']", device) if isinstance(device, str) else machine.device,
        ),
    )


@dataclass(frozen=True, eq=False)
class _Compared:
    """The version and its repetition."""

    stored: Stored
    trained: Trained
    model: Forecaster
    arrays: SnapshotArrays
    tolerance: float

    def checks(self) -> Iterator[Check]:
        """Its order's name, its measures, its forecasts, and its bytes where equal bits are asked for."""
        manifest = self.stored.manifest
        yield check("training", "training id", manifest.training_id, self.trained.order.training_id)
        found = self.trained.report.final_metrics
        for name in {**manifest.metrics, **found}:
            yield check("training", name, manifest.metrics.get(name), found.get(name), tolerance=self.tolerance)
        yield self._forecasts()
        yield from self._files()

    def _files(self) -> Iterator[Check]:
        recorded = {name: each.sha256 for name, each in self.stored.manifest.files.items()}
        found = {name: digest_bytes(each) for name, each in self.trained.files.items()}
        for name in sorted({*recorded, *found}):
            compared = check("training", f"bytes of {name}", recorded.get(name), found.get(name))
            if compared.outcome == "different" and self.tolerance > EXACT:
                # Other bits are to be expected then; the forecasts say what they are worth.
                compared = compared.model_copy(update={"outcome": "not_asked"})
            yield compared

    def _forecasts(self) -> Check:
        """The largest difference in any forecast of the snapshot, as a share of the largest forecast."""
        settings, machine = self.stored.model.settings, self.trained.order.machine
        inputs = inputs_of(self.arrays, settings, self.arrays.sequences(settings.length).samples)
        apart = _apart(self.stored.model.predict(inputs, machine), self.model.predict(inputs, machine))
        name = f"largest difference of {len(inputs)} forecasts"
        compared = check("training", name, 0.0, apart)
        if apart is not None and 0 < apart <= self.tolerance:
            return compared.model_copy(update={"outcome": "within"})
        return compared


def _apart(recorded: NDArray[Any], found: NDArray[Any]) -> float | None:
    """None where one of the two is no number and the other is."""
    if np.array_equal(recorded, found, equal_nan=True):
        return 0.0
    difference = np.abs(recorded.astype(np.float64) - found).max()
    largest = np.abs(recorded).max()
    share = float(difference / largest) if largest > 0 else float(difference)
    return share if np.isfinite(share) else None
