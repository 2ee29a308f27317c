"""What a version must do before anything is switched to it (S2-86)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from quant_pipelines.deployment.failures import CannotServe, Incompatible, Unhealthy
from quant_pipelines.deployment.live import Ref
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.models import Inputs
from quant_pipelines.registry import Manifest, ModelStore, Packed
from quant_pipelines.registry.failures import UnknownVersion, VersionRefused

_ROWS = 8


def forecasts(packed: Packed) -> list[str]:
    """What is wrong with the model's answers to a few made-up rows, in words."""
    manifest = packed.manifest
    block = np.random.default_rng(0).standard_normal((_ROWS + manifest.length - 1, len(manifest.columns)))
    inputs = Inputs(
        block=block.astype(np.float32),
        ends=np.arange(_ROWS, dtype=np.int64) + manifest.length - 1,
        sessions=np.arange(_ROWS, dtype=np.int64),
        columns=manifest.columns,
        length=manifest.length,
    )
    try:
        found = packed.model().predict(inputs)
    except (QuantPipelinesError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        return [f"it does not forecast: {type(error).__name__}: {error}"]
    told: list[str] = []
    if len(found) != _ROWS:
        told.append(f"it gives {len(found)} forecasts for {_ROWS} rows")
    if not np.isfinite(found).all():
        told.append(f"{int((~np.isfinite(found)).sum())} of its forecasts are no numbers")
    return told


def _fits(manifest: Manifest) -> list[str]:
    del manifest
    return []


@dataclass(frozen=True, kw_only=True)
class Checks:
    """Both tell what is wrong, in words; nothing where all is well.

    `compatible` looks at the manifest, for whoever knows today's columns: `registry.compatible` tells what differs.
    """

    compatible: Callable[[Manifest], Sequence[str]] = _fits
    healthy: Callable[[Packed], Sequence[str]] = forecasts


DEFAULT_CHECKS = Checks()


def loadable(store: ModelStore, model: str, version: Ref) -> Packed:
    """The version's bytes, verified; a version that is gone, tampered with or another one is named and refused."""
    try:
        packed = store.load(model, version.number)
    except (UnknownVersion, VersionRefused) as error:
        raise CannotServe(model, str(version.number), str(error)) from error
    if packed.manifest.digest != version.id:
        found = packed.manifest.digest[:16]
        raise CannotServe(model, str(version.number), f"{found} lies there, {version.id[:16]} was decided about.")
    return packed


def require_compatible(checks: Checks, packed: Packed) -> None:
    if told := checks.compatible(packed.manifest):
        raise Incompatible(
            f"{packed.manifest.model} cannot read today's data: {'; '.join(told)}. Nothing was switched; train again."
        )


def require_healthy(checks: Checks, packed: Packed) -> None:
    if told := checks.healthy(packed):
        raise Unhealthy(f"{packed.manifest.model} is not healthy: {'; '.join(told)}. Nothing was switched to it.")
