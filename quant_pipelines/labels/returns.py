"""Returns that follow a session, on matrices of (sessions x symbols), oldest session first."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.labels.failures import BadLabelInput, BadLabelSettings

Matrix = NDArray[np.float64]


def forward_returns(close: Matrix, horizons: Sequence[int]) -> dict[int, Matrix]:
    """close[t + h] / close[t] - 1 of adjusted closes for each horizon h, in the shape of `close`.

    NaN where either close is missing, and in the last h sessions; a horizon longer than the data is NaN throughout.
    Sessions between the two closes do not matter: nothing is filled, and a return over a suspension is a return.
    """
    _require_horizons(horizons)
    require_prices(close, "close")
    return {horizon: _return_over(close, horizon) for horizon in horizons}


def _return_over(close: Matrix, horizon: int) -> Matrix:
    out = np.full(close.shape, np.nan)
    reach = max(close.shape[0] - horizon, 0)
    np.divide(close[horizon:], close[:reach], out=out[:reach])
    out[:reach] -= 1.0
    return out


def require_prices(prices: Matrix, name: str) -> None:
    """Refuse what is no price: a return over zero, a negative or an infinite price would be a number all the same."""
    if prices.ndim != 2:  # noqa: PLR2004 - sessions x symbols
        raise BadLabelInput(f"{name} has shape {prices.shape}; labels need a matrix of sessions x symbols.")
    impossible = ~(np.isnan(prices) | ((prices > 0) & (prices < np.inf)))
    if impossible.any():
        row, column = np.argwhere(impossible)[0]
        raise BadLabelInput(
            f"{name} is {prices[row, column]} in row {row}, column {column}, and {int(impossible.sum())} cells are not "
            "positive finite numbers. Use the checked `prices` table, or make such cells NaN."
        )


def _require_horizons(horizons: Sequence[int]) -> None:
    wrong = [each for each in horizons if each < 1]
    if wrong:
        raise BadLabelSettings(f"Horizons {wrong} do not look ahead. Give whole sessions from 1 up.")
