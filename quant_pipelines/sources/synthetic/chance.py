"""Chance by counter: a draw depends on its seed, stream, block and place, never on what was drawn before."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_WORD = 2**64
_UNIT = 2.0**-53
_MANTISSA_SHIFT = np.uint64(11)


def uniforms(seed: int, stream: int, block: int, shape: tuple[int, int]) -> Floats:
    """Numbers in [0, 1). Rows come one after the other, so fewer rows of the same length are the same rows."""
    # Raw Philox words, whose stream numpy promises to keep; it may change how it makes distributions of them.
    # As an array of words: numpy makes floats of a list that holds a large seed, and loses its last digits.
    key = np.array([seed % _WORD, stream], dtype=np.uint64)
    words = np.random.Philox(key=key, counter=[0, 0, 0, block]).random_raw(shape[0] * shape[1])
    return (words >> _MANTISSA_SHIFT).reshape(shape).astype(np.float64) * _UNIT


def normals(seed: int, stream: int, block: int, shape: tuple[int, int]) -> Floats:
    """Standard normal numbers, by Box and Muller: as many words as numbers, so that nothing shifts. Rows are even."""
    rows, length = shape
    draws = uniforms(seed, stream, block, (rows, length))
    radius = np.sqrt(-2.0 * np.log1p(-draws[:, : length // 2]))
    angle = 2.0 * np.pi * draws[:, length // 2 :]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
