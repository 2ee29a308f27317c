"""Which rows of a snapshot are explained."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.calendars import Session, session_key
from quant_pipelines.explain.reference import drawn
from quant_pipelines.explain.settings import ExplainSettings, ExplanationRefused
from quant_pipelines.models import Inputs, ModelSettings
from quant_pipelines.snapshots import SnapshotArrays

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A prediction that somebody wants explained."""

    symbol: str
    session: Session


def of_part(arrays: SnapshotArrays, settings: ModelSettings, part: str) -> Places:
    """Rows of the block that are samples of a part and have all the sessions that the model sees."""
    found = {"train": arrays.part("train"), "validation": arrays.part("validation")}[part]
    return whole(arrays, settings, arrays.samples[found])


def whole(arrays: SnapshotArrays, settings: ModelSettings, rows: Places) -> Places:
    """Those of the rows that have all the sessions that the model sees."""
    return rows[rows - settings.length + 1 >= arrays.offsets[arrays.symbol_of(rows)]]


def explained_rows(arrays: SnapshotArrays, model: ModelSettings, settings: ExplainSettings) -> Places:
    """Drawn from the part; from the training rows where there is no validation."""
    rows = of_part(arrays, model, settings.part)
    if not rows.size:
        rows = of_part(arrays, model, "train")
    return rows[drawn(rows.size, settings.n_samples, settings.seed)]


def row_of(arrays: SnapshotArrays, model: ModelSettings, chosen: Chosen) -> int:
    """The row of a chosen prediction."""
    told = f"{chosen.symbol} at {session_key(chosen.session)}"
    rows = arrays.rows_of(chosen.session)
    found = rows[arrays.symbols[arrays.symbol_of(rows)] == chosen.symbol]
    if not found.size:
        first, last = names_of(arrays)[0], names_of(arrays)[-1]
        raise ExplanationRefused(
            f"The snapshot has no row of {told}. It has {len(arrays.symbols)} symbols from {first} to {last}; "
            "choose one of them and a session on which it was listed."
        )
    if not whole(arrays, model, found).size:
        raise ExplanationRefused(
            f"{told} has fewer than the {model.length} sessions that {model.kind} sees. Choose a later session."
        )
    return int(found[0])


def inputs_at(arrays: SnapshotArrays, settings: ModelSettings, rows: Places) -> Inputs:
    """Rows of the block as a model reads them."""
    return Inputs(
        block=arrays.block,
        ends=rows,
        sessions=arrays.session[rows].astype(np.int64),
        columns=arrays.columns,
        length=settings.length,
    )


def names_of(arrays: SnapshotArrays) -> list[str]:
    """The sessions of the axis as people write them."""
    return [session_key(each) for each in arrays.axis.astype("datetime64[us]").tolist()]
