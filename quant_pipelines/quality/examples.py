"""A few broken rows in words, the same ones whatever order the rows came in."""

# pyarrow.compute makes its functions while it is imported, so no checker can see them.
# pyright: reportAttributeAccessIssue=false

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.quality.frame import Frame
from quant_pipelines.quality.rules import Verdict
from quant_pipelines.quality.text import as_text, joined


def examples_of(verdict: Verdict, frame: Frame, *, count: int) -> list[str]:
    """The first broken rows by the view's key, each as `key: found; expected`."""
    broken = np.flatnonzero(verdict.mask)
    if not broken.size or not count:
        return []
    chosen = _first_by_key(verdict, frame, broken, count)
    rows = frame.table.take(pa.array(chosen))
    reasons = verdict.reasons(rows, chosen)
    if not verdict.rule.view.key:
        return reasons.to_pylist()
    keys = joined([pc.fill_null(as_text(rows[name]), "?").combine_chunks() for name in verdict.rule.view.key], " ")
    return joined([keys, reasons], ": ").to_pylist()


def _first_by_key(verdict: Verdict, frame: Frame, broken: np.ndarray, count: int) -> np.ndarray:
    # The checked columns break ties between repeated keys.
    checked = [name for check in verdict.rule.checks for name in check.columns]
    names = list(dict.fromkeys([*verdict.rule.view.key, *checked]))
    rows = frame.table.select(names).take(pa.array(broken))
    first = pc.select_k_unstable(rows, k=min(count, broken.size), sort_keys=[(name, "ascending") for name in names])
    return broken[first.to_numpy()]
