"""A .npy file to be, in memory: filled in place, hashed there, written without a copy."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# A multiple of every page size.
_PIECE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class Draft:
    """The bytes of the file, and the array in them."""

    content: NDArray[np.uint8]
    array: NDArray[Any]
    _memory: mmap.mmap

    @classmethod
    def empty(cls, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Self:
        """Zeros, to be filled."""
        header = BytesIO()
        described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, described)
        begins = len(header.getvalue())
        size = begins + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        content = np.frombuffer(memory, np.uint8)
        content[:begins] = np.frombuffer(header.getvalue(), np.uint8)
        return cls(content, content[begins:].view(dtype).reshape(shape), memory)

    @classmethod
    def of(cls, array: NDArray[Any]) -> Self:
        draft = cls.empty(array.dtype, array.shape)
        draft.array[...] = array
        return draft

    def spent(self) -> Iterator[pa.Buffer]:
        """The content, piece by piece. Asking for the next gives back the memory of the last: the array is gone then.

        So a large file is never in memory twice, here and in the system's cache of what was written.
        """
        for begin in range(0, self.content.size, _PIECE_BYTES):
            piece = self.content[begin : begin + _PIECE_BYTES]
            yield pa.py_buffer(piece)
            self._memory.madvise(mmap.MADV_DONTNEED, begin, piece.size)
