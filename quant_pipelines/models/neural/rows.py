"""Rows on a device: one block, and batches gathered from it by index."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quant_pipelines.models.data import Examples, Inputs
from quant_pipelines.models.failures import NotLearnable

# Every batch of a prediction has so many rows, filled up where there are fewer: a product of matrices adds up in
# another order for another shape, and a prediction must not depend on its company.
PREDICTED_AT_ONCE = 256


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Rows:
    """Windows of a block by the place of their first row.

    No DataLoader: one gathers a batch row by row in Python (33 us a row with pyqlib's sampler); index_select copies
    whole windows (0.3 us, `benchmarks/bench_nets.py`).
    """

    windows: Tensor
    starts: Tensor
    length: int

    def __len__(self) -> int:
        return self.starts.shape[0]

    def sequences(self, chosen: Tensor) -> Tensor:
        """(rows x length x columns) of some rows."""
        return self._at(self.starts.index_select(0, chosen))

    def equal_batches(self) -> Iterator[Tensor]:
        """All rows in their order, the last batch filled up with its own last row."""
        for starts in self.starts.split(PREDICTED_AT_ONCE):
            missing = PREDICTED_AT_ONCE - starts.shape[0]
            yield self._at(torch.cat((starts, starts[-1:].expand(missing))))

    def _at(self, starts: Tensor) -> Tensor:
        return self.windows.index_select(0, starts).view(starts.shape[0], self.length, -1)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Lesson:
    """Rows with their targets, and weights of mean 1."""

    rows: Rows
    target: Tensor
    weight: Tensor | None

    def __len__(self) -> int:
        return len(self.rows)


def rows_of(inputs: Inputs, device: torch.device) -> Rows:
    """The block as it is on the CPU; on a GPU a copy that stays there."""
    block = _tensor(np.ascontiguousarray(inputs.block)).to(device)
    length, columns = inputs.length, block.shape[1]
    places = max(block.shape[0] - length + 1, 0)
    # A window of a contiguous block is one run of memory, so it is gathered as one row.
    windows = block.as_strided((places, length * columns), (columns, 1))
    return Rows(windows=windows, starts=_tensor(inputs.ends - length + 1).to(device), length=length)


def lesson_of(examples: Examples, device: torch.device) -> Lesson:
    return Lesson(
        rows=rows_of(examples.inputs, device),
        target=_tensor(examples.target).to(device),
        weight=None if examples.weight is None else _tensor(_of_mean_one(examples.weight)).to(device),
    )


def _of_mean_one(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """So that a learning rate means the same with and without weights, and a batch of small ones is a small step."""
    mean = weight.mean(dtype=np.float64)
    if not (np.isfinite(mean) and mean > 0 and weight.min() >= 0):
        raise NotLearnable(f"Weights from {weight.min()} to {weight.max()} were given; they are 0 or more, not all 0.")
    return (weight / mean).astype(np.float32)


def _tensor(values: NDArray[Any]) -> Tensor:
    with warnings.catch_warnings():
        # A snapshot's block is mapped read-only, of which PyTorch warns. Nothing here writes into it.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(values)
