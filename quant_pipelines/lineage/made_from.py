"""What the sessions of a published table were made from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from quant_pipelines.arrays import SESSION
from quant_pipelines.calendars import Session
from quant_pipelines.lake import FileDamaged, Window

# The column of a derived table that holds the digest of everything its session was made from.
MADE_FROM = "made_from"


class Readable(Protocol):
    """A table, or one version of it."""

    def read(self, window: Window, *, columns: Sequence[str], coded: Collection[str]) -> pa.Table: ...


@dataclass(frozen=True, slots=True)
class Held:
    """Each session's digest. `damaged` says which file could not be read: its sessions are as good as none."""

    made_from: dict[Session, str]
    damaged: str | None = None

    def stale(self, wanted: Mapping[Session, str]) -> list[Session]:
        """Sessions that are to be made, or made again; one that lost its inputs loses its rows."""
        made_from = self.made_from
        return sorted(each for each in wanted.keys() | made_from.keys() if wanted.get(each) != made_from.get(each))


def held(table: Readable, window: Window) -> Held:
    """Look into the table; a damaged file makes every session of the window one to compute anew."""
    try:
        rows = table.read(window, columns=[SESSION, MADE_FROM], coded=[MADE_FROM])
    except FileDamaged as damage:
        return Held({}, str(damage))
    made_from: dict[Session, str] = {}
    # Piece by piece: to take some rows of a column in many pieces, all of it would be put together first.
    for piece in rows.to_batches():
        labels = piece[SESSION].to_numpy()
        starts = np.flatnonzero(np.append(True, labels[1:] != labels[:-1])[: labels.size])
        sessions: list[Session] = labels[starts].astype("datetime64[us]").astype(object).tolist()
        made_from.update(zip(sessions, piece[MADE_FROM].take(pa.array(starts)).to_pylist(), strict=True))
    return Held(made_from)
