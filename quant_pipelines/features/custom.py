"""A user's own features: expressions or functions, proved point-in-time before they are accepted.

FEATURES = custom_set(
    expression("pull_back", "$close / Max($high, 20) - 1", "Close against the highest high of 20 sessions.", SINCE),
    function("gap", opening_gap, inputs=("open", "close"), look_back_sessions=1, sentence="...", created_at=SINCE),
)
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.features.expressions.evaluate import evaluate, sealed
from quant_pipelines.features.expressions.language import LooksAhead, fields, look_back, parse_feature
from quant_pipelines.features.panel import BarPanel
from quant_pipelines.features.point_in_time import find_leaks, find_longer_reach
from quant_pipelines.features.registry import Feature, FeatureKind, FeatureRefused, FeatureSet
from quant_pipelines.features.unit import Unit

# One value per row of the panel.
Function = Callable[[BarPanel], NDArray[np.floating[Any]]]
_PROBE_SESSIONS, _PROBE_SYMBOLS, _PROBE_SEED = 160, 3, 20_261_121


@dataclass(frozen=True, slots=True)
class CustomFeature:
    """A registered feature and how it is computed."""

    feature: Feature
    function: Function

    def compute(self, panel: BarPanel) -> NDArray[np.float32]:
        with np.errstate(all="ignore"):
            values = np.asarray(self.function(panel))
        if values.shape != (panel.rows,):
            raise FeatureRefused(
                f"Feature {self.feature.name} returned the shape {values.shape} for {panel.rows} rows. "
                "Return one value per row."
            )
        return sealed(values, panel.rows)


def expression(name: str, text: str, sentence: str, created_at: datetime, *, unit: Unit = Unit.NUMBER) -> CustomFeature:
    """A feature written as a formula; inputs and look-back follow from it."""
    tree = parse_feature(text)
    feature = Feature(
        name=name,
        kind=FeatureKind.CUSTOM,
        definition=text,
        inputs=fields(tree),
        look_back_sessions=look_back(tree),
        sentence=sentence,
        created_at=created_at,
        unit=unit,
    )
    return CustomFeature(feature, lambda panel: evaluate(tree, panel))


def function(
    name: str,
    compute: Function,
    *,
    inputs: tuple[str, ...],
    look_back_sessions: int | None,
    sentence: str,
    created_at: datetime,
    unit: Unit = Unit.NUMBER,
    revision: int = 1,
) -> CustomFeature:
    """A feature written in Python. Raise `revision` whenever its numbers change: nobody can see that from outside."""
    feature = Feature(
        name=name,
        kind=FeatureKind.CUSTOM,
        definition=f"{compute.__module__}.{compute.__qualname__}",
        inputs=inputs,
        look_back_sessions=look_back_sessions,
        sentence=sentence,
        created_at=created_at,
        unit=unit,
        revision=revision,
    )
    return CustomFeature(feature, compute)


def custom_set(*features: CustomFeature) -> FeatureSet:
    """The features as a set. They are proved before they are first computed, not when the graph is drawn."""

    @cache
    def proved() -> tuple[CustomFeature, ...]:
        prove(*features)
        return features

    return FeatureSet(
        name=FeatureKind.CUSTOM.value,
        features=tuple(each.feature for each in features),
        compute=lambda panel: np.stack([each.compute(panel) for each in proved()]),
    )


def prove(*features: CustomFeature) -> None:
    """Refuse a feature that sees the future, or further back than it says."""
    panel = probe()
    for each in features:
        _prove(each, panel)


def _prove(custom: CustomFeature, panel: BarPanel) -> None:
    name, reach = custom.feature.name, custom.feature.look_back_sessions
    cuts = [panel.sessions[_PROBE_SESSIONS // 2], panel.sessions[_PROBE_SESSIONS - 2]]
    leak = next(iter(find_leaks(custom.compute, panel, custom.compute(panel), [name], cuts)), None)
    if leak is not None:
        raise LooksAhead(
            f"{leak}. A feature may use one symbol's past only; what comes later belongs into a label set."
        )
    if reach is not None and find_longer_reach(custom.compute, panel, [name], reach):
        raise FeatureRefused(
            f"Feature {name} says it looks back {reach} sessions, but reads older ones. "
            "Give look_back_sessions the sessions before the current one that it reads, or None for all history."
        )


def probe() -> BarPanel:
    """A small market to try features on: random prices, a few suspended sessions, always the same."""
    rng = np.random.default_rng(_PROBE_SEED)
    rows = _PROBE_SESSIONS * _PROBE_SYMBOLS
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, rows)))
    opened, reach = close * np.exp(rng.normal(0, 0.01, rows)), np.exp(np.abs(rng.normal(0, 0.01, rows)))
    high, low = np.maximum(opened, close) * reach, np.minimum(opened, close) / reach
    values = np.stack([opened, high, low, close, rng.lognormal(12, 0.5, rows), (high + low + close) / 3])
    values[:, rng.integers(rows, size=rows // 40)] = np.nan
    sessions = np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-01-01") + _PROBE_SESSIONS)
    return BarPanel(
        values,
        np.arange(_PROBE_SYMBOLS + 1, dtype=np.int64) * _PROBE_SESSIONS,
        tuple(f"PROBE{number}" for number in range(_PROBE_SYMBOLS)),
        np.tile(sessions, _PROBE_SYMBOLS).astype("datetime64[us]"),
    )
