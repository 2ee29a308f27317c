"""How every kernel is compiled: IEEE arithmetic, without the interpreter lock, cached on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from quant_pipelines.digest import digest_bytes

Doubles = NDArray[np.float64]
Singles = NDArray[np.float32]
Counts = NDArray[np.int32]
Rows = NDArray[np.int64]

_STAMP = digest_bytes(*(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))


def kernel(function: Callable[..., Any]) -> Any:
    """An entry: compiled at the first call; the machine code is kept until the source of any kernel changes.

    numba's own stamp looks at the function's file alone: a changed helper in another file would leave the old
    machine code of its callers in use. The stamp here covers the package. Call an entry with one set of array
    types only: processes that fill an empty cache at once are then certain to write the same thing.
    """
    try:
        compiled: Any = nb.njit(error_model="numpy", nogil=True, cache=True)(function)
    except RuntimeError:
        # No folder that can be written, as in a read-only image without a home: every process compiles for itself.
        return part(function)
    compiled._cache._cache_file._source_stamp = _STAMP  # noqa: SLF001 - numba has no public way to set it
    return compiled


def part(function: Callable[..., Any]) -> Any:
    """A piece of kernels: compiled into each of them, never kept by itself."""
    return nb.njit(error_model="numpy", nogil=True)(function)
