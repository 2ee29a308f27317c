"""What each feature is: definition, inputs, look-back, version. Training and serving read the same rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.digest import digest_json
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.features.panel import FIELDS, BarPanel
from quant_pipelines.features.unit import Unit

_VERSION_DIGITS = 12
# One row per feature, one column per row of the panel.
Values = NDArray[np.floating[Any]]
Compute = Callable[[BarPanel], Values]


class FeatureRefused(OperatorActionRequired):
    """A feature cannot be registered, or is not the one that was asked for."""

    code: ClassVar[str] = "QP255"


class FeatureKind(StrEnum):
    """Where a feature comes from; also the table that holds it."""

    ALPHA158 = "alpha158"
    INDICATOR = "indicators"
    CUSTOM = "custom_features"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One column. `look_back_sessions` is None where a value depends on all history since listing."""

    name: str
    kind: FeatureKind
    definition: str
    inputs: tuple[str, ...]
    look_back_sessions: int | None
    sentence: str
    created_at: datetime
    unit: Unit = Unit.NUMBER
    revision: int = 1
    update_frequency: str = "session"

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise FeatureRefused(f"Feature name {self.name!r} is no column name. Use letters, digits and underscores.")
        if self.created_at.tzinfo is None:
            raise FeatureRefused(f"Feature {self.name}: created_at has no time zone. Add tzinfo=UTC.")
        unknown = set(self.inputs) - set(FIELDS)
        if unknown or not self.inputs:
            raise FeatureRefused(
                f"Feature {self.name} reads {sorted(unknown) or 'nothing'}; there are {', '.join(FIELDS)}."
            )
        if self.look_back_sessions is not None and self.look_back_sessions < 0:
            raise FeatureRefused(f"Feature {self.name} looks back {self.look_back_sessions} sessions; 0 is the least.")

    @property
    def version(self) -> str:
        """Another definition, input, look-back, unit or revision is another version."""
        content = [self.name, self.definition, self.inputs, self.look_back_sessions, self.unit, self.revision]
        return digest_json(content)[:_VERSION_DIGITS]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSet:
    """Features computed together, in this order."""

    name: str
    features: tuple[Feature, ...]
    compute: Compute

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.features)

    @property
    def version(self) -> str:
        """Another name, order or version of a feature is another version of the set."""
        return digest_json([[each.name, each.version] for each in self.features])

    def published(self, panel: BarPanel) -> NDArray[np.float32]:
        """What the set's table holds: computed, in the money and shares of each session, masked where suspended.

        The panel's prices are adjusted so that the past never changes; a level in them means nothing to a person
        until it is put back into its own session's money. A suspended session has only a stale window.
        """
        values = self.compute(panel)
        if values.shape != (len(self.features), panel.rows):
            raise FeatureRefused(
                f"{self.name} computed {values.shape} for {len(self.features)} features x {panel.rows} rows."
            )
        if panel.factor is not None:
            for row, feature in enumerate(self.features):
                if feature.unit is Unit.PRICE:
                    values[row] /= panel.factor
                elif feature.unit is Unit.SHARES:
                    values[row] *= panel.factor
        values[:, panel.suspended] = np.nan
        with np.errstate(over="ignore"):
            return values.astype(np.float32, copy=False)

    @property
    def look_back_sessions(self) -> int | None:
        """The longest of its features'; None: all history."""
        reaches = [each.look_back_sessions for each in self.features]
        known = [each for each in reaches if each is not None]
        return max(known, default=0) if len(known) == len(reaches) else None


class FeatureRegistry(Mapping[str, Feature]):
    """All features of all sets, by name; no name twice."""

    def __init__(self, sets: Iterable[FeatureSet]) -> None:
        self.sets = tuple(sets)
        self._features: dict[str, Feature] = {}
        for each in (feature for group in self.sets for feature in group.features):
            if each.name in self._features:
                raise FeatureRefused(
                    f"Feature {each.name} is in {self._features[each.name].kind} and in {each.kind}. "
                    "Rename one of them."
                )
            self._features[each.name] = each

    def __getitem__(self, name: str) -> Feature:
        return self._features[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)

    def versions(self, names: Iterable[str]) -> dict[str, str]:
        """What a trained model writes down about the features it saw."""
        return {name: self[name].version for name in names}

    def require(self, versions: Mapping[str, str]) -> Self:
        """Refuse to serve a model that was trained on other definitions."""
        for name, version in versions.items():
            found = self._features[name].version if name in self._features else "nothing"
            if found != version:
                raise FeatureRefused(
                    f"Feature {name} was {version} in training and is {found} now. Retrain, or restore its definition."
                )
        return self

    def table(self) -> pa.Table:
        """The registry as a table, one row per feature."""
        rows = tuple(self._features.values())
        return pa.table(
            {
                "feature_name": [each.name for each in rows],
                "feature_type": [each.kind.value for each in rows],
                "calculation_method": [each.definition for each in rows],
                "description": [each.sentence for each in rows],
                "dependencies": [list(each.inputs) for each in rows],
                "unit": [each.unit.value for each in rows],
                "look_back_sessions": pa.array([each.look_back_sessions for each in rows], pa.int32()),
                "update_frequency": [each.update_frequency for each in rows],
                "version": [each.version for each in rows],
                "created_at": pa.array([each.created_at for each in rows], pa.timestamp("us", "UTC")),
            }
        )
