"""Row by row over (sessions x symbols): ranks and correlations of what is there."""

import numpy as np

from quant_pipelines.kernels.compiled import Doubles, Rows, kernel


@kernel
def average_ranks(values: Doubles, order: Rows, out: Doubles) -> None:
    """Ranks from 1 within each row, ties averaged, NaN unranked. `order` sorts each row with NaN at its end."""
    for row in range(values.shape[0]):
        first = 0
        columns = values.shape[1]
        while first < columns and not np.isnan(values[row, order[row, first]]):
            value = values[row, order[row, first]]
            after = first + 1
            while after < columns and values[row, order[row, after]] == value:
                after += 1
            for place in range(first, after):
                out[row, order[row, place]] = 0.5 * (first + 1 + after)
            first = after
        for place in range(first, columns):
            out[row, order[row, place]] = np.nan


@kernel
def row_correlations(left: Doubles, right: Doubles, fewest: int, out: Doubles) -> None:
    """Pearson correlation of each pair of rows where both have a value.

    NaN with fewer than `fewest` pairs and where a side is constant.
    """
    for row in range(left.shape[0]):
        number, x_sum, y_sum = 0, 0.0, 0.0
        for column in range(left.shape[1]):
            x, y = left[row, column], right[row, column]
            if not (np.isnan(x) or np.isnan(y)):
                number += 1
                x_sum += x
                y_sum += y
        if number < fewest:
            out[row] = np.nan
            continue
        xx, yy, xy = 0.0, 0.0, 0.0
        for column in range(left.shape[1]):
            x, y = left[row, column], right[row, column]
            if not (np.isnan(x) or np.isnan(y)):
                dx, dy = x - x_sum / number, y - y_sum / number
                xx += dx * dx
                yy += dy * dy
                xy += dx * dy
        # Relative, since the mean of equal numbers may be off by the last digit.
        still = xx <= 1e-24 * x_sum * x_sum or yy <= 1e-24 * y_sum * y_sum
        out[row] = np.nan if still else xy / np.sqrt(xx * yy)
