"""Do the two latest snapshots of a target see the world the same way (S1-35, S1-67)?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from quant_pipelines.lineage.failures import LineageRefused, UnknownTarget

DATA_VERSION = "data_version"
_COMPARED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFacts:
    """What a snapshot froze, as far as two of them can be compared.

    `tables`: the data version of each table; `features`: the version of each feature's definition; `normaliser`: how
    inputs are scaled, `fitted_normaliser` the id of what was fitted.
    """

    id: str
    target: str
    created_at: datetime
    cutoff: datetime
    tables: Mapping[str, str]
    columns: tuple[str, ...]
    features: Mapping[str, str]
    row_filter: str
    label_set: str
    normaliser: str
    fitted_normaliser: str
    code_version: str
    configuration: str


# What is compared, by the name that a mismatch gets.
_KEYS = {
    "tables": lambda facts: sorted(facts.tables),
    "data_versions": lambda facts: dict(facts.tables),
    "columns": attrgetter("columns"),
    "features": lambda facts: dict(facts.features),
    "row_filter": attrgetter("row_filter"),
    "label_set": attrgetter("label_set"),
    "normaliser": attrgetter("normaliser"),
    "fitted_normaliser": attrgetter("fitted_normaliser"),
    "configuration": attrgetter("configuration"),
    "code_version": attrgetter("code_version"),
    "cutoff": attrgetter("cutoff"),
}
# What differs between two honest snapshots as time goes on: new sessions, a fit on them, a release that changed no
# definition. Everything else says that the model would be asked about other things than it has learned.
TOLERATED = frozenset({"data_versions", "fitted_normaliser", "code_version", "cutoff"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One compared key that differs, and what each of the two holds."""

    key: str
    older: Any
    newer: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetConsistency:
    """One target: the snapshots compared, newest last, and what does not match.

    `compared` is False where fewer than two snapshots exist: nothing to observe yet, which is no evidence either way.
    """

    target: str
    snapshots: tuple[str, ...]
    compared: bool
    mismatches: tuple[Difference, ...]
    tolerated: tuple[Difference, ...]

    @property
    def mismatch_keys(self) -> tuple[str, ...]:
        return tuple(each.key for each in self.mismatches)

    @property
    def consistent(self) -> bool:
        return not self.mismatches


def check_feature_lineage_consistency(
    snapshots: Iterable[SnapshotFacts], *, strict: bool, data_version: str | None = None, target: str | None = None
) -> dict[str, TargetConsistency]:
    """Compare the two latest snapshots of each target, never those of different ones.

    Strict: any difference is a mismatch. With a data version, every snapshot of the target must have used it.
    """
    ordered = sorted(snapshots, key=lambda facts: (facts.target, facts.created_at, facts.id))
    groups = {name: list(group) for name, group in groupby(ordered, key=attrgetter("target"))}
    if target is not None and target not in groups:
        raise UnknownTarget(target, list(groups))
    chosen = groups if target is None else {target: groups[target]}
    return {name: _judged(name, group, strict, data_version) for name, group in chosen.items()}


def _judged(target: str, group: Sequence[SnapshotFacts], strict: bool, data_version: str | None) -> TargetConsistency:
    _require_unique(group)
    pair = group[-_COMPARED:]
    differences = _differences(*pair) if len(pair) == _COMPARED else []
    mismatches = [each for each in differences if strict or each.key not in TOLERATED]
    unused = [facts.id for facts in group if data_version is not None and data_version not in facts.tables.values()]
    if unused:
        mismatches.append(Difference(DATA_VERSION, data_version, tuple(unused)))
    return TargetConsistency(
        target=target,
        snapshots=tuple(facts.id for facts in pair),
        compared=len(pair) == _COMPARED,
        mismatches=tuple(mismatches),
        tolerated=tuple(each for each in differences if each not in mismatches),
    )


def _differences(older: SnapshotFacts, newer: SnapshotFacts) -> list[Difference]:
    pairs = ((key, of(older), of(newer)) for key, of in _KEYS.items())
    return [Difference(key, before, after) for key, before, after in pairs if before != after]


def _require_unique(group: Sequence[SnapshotFacts]) -> None:
    ids = [facts.id for facts in group]
    if len(set(ids)) < len(ids):
        twice = sorted({each for each in ids if ids.count(each) > 1})
        raise LineageRefused(f"Snapshots {', '.join(twice)} were given more than once. Give each of them once.")
