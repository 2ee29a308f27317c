"""Fitting and applying a scale to each column of rows x columns, NaN left out."""

import numpy as np

from quant_pipelines.kernels.compiled import Doubles, Rows, Singles, kernel


@kernel
def column_sums(values: Singles, rows: Rows, shift: Doubles, counts: Rows, sums: Doubles, squares: Doubles) -> None:
    """Per column over these rows: how many values, and the sums of value - shift and of its square.

    Row by row, so that the order of the additions, and with it every bit, is that of the rows alone. A missing value
    adds zero, which changes no bit of a sum and, unlike a branch, lets several columns be added at once.
    """
    for i in range(rows.shape[0]):
        row = values[rows[i]]
        for column in range(row.shape[0]):
            value = row[column]
            known = not np.isnan(value)
            away = value - shift[column] if known else 0.0
            counts[column] += known
            sums[column] += away
            squares[column] += away * away


@kernel
def scale_rows(values: Singles, centre: Singles, scale: Singles, bound: Singles, missing: Singles) -> None:
    """In place: (value - centre) / scale, held within +-bound; NaN becomes `missing`. Both are arrays of one."""
    high, low, filler = bound[0], -bound[0], missing[0]
    for r in range(values.shape[0]):
        row = values[r]
        for column in range(row.shape[0]):
            value = (row[column] - centre[column]) / scale[column]
            if np.isnan(value):
                value = filler
            elif value > high:
                value = high
            elif value < low:
                value = low
            row[column] = value
