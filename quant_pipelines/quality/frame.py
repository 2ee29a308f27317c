"""A table's columns as arrays, each made once."""

# pyarrow.compute makes its functions while it is imported, so no checker can see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]


class Frame:
    """A table read column by column: null becomes NaN or NaT, and every comparison with those is false."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self._values: dict[str, Array] = {}
        self._codes: dict[str, IntArray] = {}

    @property
    def rows(self) -> int:
        return self.table.num_rows

    def values(self, name: str) -> Array:
        if name not in self._values:
            self._values[name] = self.table[name].to_numpy()
        return self._values[name]

    def missing(self, name: str) -> npt.NDArray[np.bool_]:
        return pc.is_null(self.table[name], nan_is_null=True).to_numpy().astype(np.bool_)

    def codes(self, name: str) -> IntArray:
        """0, 1, 2, ... by first appearance: equal values have equal codes."""
        if name not in self._codes:
            encoded = self.table[name].combine_chunks().dictionary_encode("encode")
            self._codes[name] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return self._codes[name]

    def keys(self, names: Sequence[str]) -> IntArray:
        """One number per row; rows agree in all the named columns exactly where their numbers are equal."""
        keys = np.zeros(self.rows, dtype=np.int64)
        for name in names:
            codes = self.codes(name)
            keys = keys * (int(codes.max(initial=0)) + 1) + codes
        return keys

    def deliveries(self, names: Sequence[str]) -> IntArray:
        """How many rows share each row's key."""
        keys = self.keys(names)
        ordered = np.sort(keys)
        if not np.any(ordered[1:] == ordered[:-1]):
            return np.ones(self.rows, dtype=np.int64)
        _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        return counts[inverse].astype(np.int64)
