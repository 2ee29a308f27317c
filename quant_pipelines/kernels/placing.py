"""Moving columns from one order to another."""

from quant_pipelines.kernels.compiled import Rows, Singles, kernel


@kernel
def place_columns(values: Singles, sources: Rows, targets: Rows, out: Singles) -> None:
    """out[:, targets] = values[:, sources], in one pass without an array in between."""
    for row in range(values.shape[0]):
        source, target = values[row], out[row]
        for i in range(sources.shape[0]):
            target[targets[i]] = source[sources[i]]
