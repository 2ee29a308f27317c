"""The unit in which targets are learned.

Daily returns are hundredths, and hyper-parameters are meant for targets of size one: an L1 penalty of 206 on raw
returns leaves a constant. So numbers are learned in units of their spread in training, and a fitted model speaks in
returns again.
"""

import numpy as np
from numpy.typing import NDArray


def unit_of(target: NDArray[np.floating]) -> float:
    """The standard deviation of all training targets together; 1 where they are constant."""
    spread = float(np.std(target, dtype=np.float64))
    return spread if spread > 0 else 1.0


def in_units(target: NDArray[np.floating], unit: float) -> NDArray[np.float32]:
    return (np.asarray(target, np.float64) / unit).astype(np.float32)
