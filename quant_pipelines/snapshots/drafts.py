"""A .npy file to be: filled in place, in memory or in the very file that it will be."""

import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
# Makes a file of so many bytes, all of which it has room for: a full disk would end the process that fills it.
Stage = Callable[[int], Path]


@dataclass(frozen=True, eq=False)
class Draft:
    """The bytes of the file, and the array in them. Without a `file` they are in memory alone."""

    content: NDArray[np.uint8]
    array: NDArray[Any]
    file: Path | None = None

    @classmethod
    def empty(cls, dtype: np.dtype[Any], shape: Shape, stage: Stage | None = None) -> Self:
        """Zeros, to be filled. What is filled in a file is never in memory twice, and never copied there."""
        header = BytesIO()
        described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, described)
        begins = len(header.getvalue())
        size = begins + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        file = None if stage is None else stage(size)
        content = np.frombuffer(_memory(size, file), np.uint8)
        content[:begins] = np.frombuffer(header.getvalue(), np.uint8)
        return cls(content, content[begins:].view(dtype).reshape(shape), file)

    @classmethod
    def of(cls, array: NDArray[Any], stage: Stage | None = None) -> Self:
        draft = cls.empty(array.dtype, array.shape, stage)
        draft.array[...] = array
        return draft


def _memory(size: int, file: Path | None) -> mmap.mmap:
    if file is None:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    descriptor = os.open(file, os.O_RDWR)
    try:
        return mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED)
    finally:
        os.close(descriptor)
