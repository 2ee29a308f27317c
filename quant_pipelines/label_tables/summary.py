"""Labels in numbers that a person wants to see before training on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION
from quant_pipelines.calendars import Session
from quant_pipelines.labels import LABEL_SET


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSummary:
    """One label set: its rows, how many have a value, and what these are like. NaN where there is none."""

    label_set: str
    rows: int
    valued: int
    positive: float
    mean: float
    deviation: float
    buyable: float
    commonest_absence: str | None


def set_summaries(rows: pa.Table) -> list[SetSummary]:
    """Each label set that has rows, by name."""
    names = rows[LABEL_SET].to_numpy(zero_copy_only=False)
    return [_summary(str(name), rows.filter(pa.array(names == name))) for name in np.unique(names)]


def positive_shares(rows: pa.Table, label_set: str) -> tuple[list[Session], NDArray[np.float64]]:
    """For each session: which share of a set's labels is above zero, NaN where none has a value."""
    mine = rows.filter(pa.array(rows[LABEL_SET].to_numpy(zero_copy_only=False) == label_set))
    sessions, codes = np.unique(mine[SESSION].to_numpy(), return_inverse=True)
    values = mine["value"].to_numpy()
    valued = np.bincount(codes, weights=~np.isnan(values), minlength=sessions.size)
    above = np.bincount(codes, weights=values > 0, minlength=sessions.size)
    shares = np.divide(above, valued, out=np.full(sessions.size, np.nan), where=valued > 0)
    return sessions.astype("datetime64[us]").astype(object).tolist(), shares


def _summary(name: str, rows: pa.Table) -> SetSummary:
    values = rows["value"].drop_null().to_numpy()
    buyable = rows["buyable"].drop_null().to_numpy(zero_copy_only=False)
    return SetSummary(
        label_set=name,
        rows=rows.num_rows,
        valued=values.size,
        positive=_mean(values > 0),
        mean=_mean(values),
        deviation=float(values.std()) if values.size else float("nan"),
        buyable=_mean(buyable.astype(np.float64)),
        commonest_absence=_commonest(rows["absent"].drop_null().to_pylist()),
    )


def _mean(values: NDArray[np.generic]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _commonest(reasons: Sequence[str]) -> str | None:
    names, counts = np.unique(np.array(reasons, dtype=object).astype(str), return_counts=True)
    return str(names[np.argmax(counts)]) if counts.size else None
