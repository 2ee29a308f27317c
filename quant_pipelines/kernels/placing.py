"""Moving columns from one order to another."""

from quant_pipelines.kernels.compiled import Rows, Singles, kernel

# So many rows of a few hundred columns stay in a core's cache while they are written, some columns at a time.
_TILE, _TOGETHER = 64, 8


@kernel
def place_columns(values: Singles, sources: Rows, targets: Rows, out: Singles) -> None:
    """out[:, targets] = values[:, sources], in one pass without an array in between."""
    for row in range(values.shape[0]):
        source, target = values[row], out[row]
        for i in range(sources.shape[0]):
            target[targets[i]] = source[sources[i]]


@kernel
def place_rows(columns: Singles, sources: Rows, targets: Rows, first: int, out: Singles) -> None:
    """out[targets, first : first + columns] = columns[:, sources].T, tile by tile.

    Column by column over all rows would fetch each line of the cache once for every column; one column of a tile at
    a time would look up the same places once for every column, which takes twice as long.
    """
    count = columns.shape[0]
    for begin in range(0, sources.shape[0], _TILE):
        end = min(begin + _TILE, sources.shape[0])
        for left in range(0, count, _TOGETHER):
            right = min(left + _TOGETHER, count)
            for i in range(begin, end):
                source, row = sources[i], out[targets[i]]
                for column in range(left, right):
                    row[first + column] = columns[column, source]
