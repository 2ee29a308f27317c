"""Which input sessions an output session is made of, by the rule of a reach, and the reverse."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence

from quant_pipelines.lineage.nodes import Reach


def made_of(inputs: Sequence[str], output: str, reach: Reach) -> range:
    """The positions of the inputs that an output is made of; inputs are in order.

    Its own session is the last input at or before it, so that inputs of another calendar count as known.
    """
    own = bisect_right(inputs, output) - 1
    first = 0 if reach.back is None else max(0, own - reach.back)
    return range(first, min(len(inputs), own + reach.ahead + 1))


def needed(inputs: Sequence[str], outputs: Collection[str], reach: Reach) -> set[str]:
    """The inputs that any of the outputs is made of."""
    return {inputs[position] for output in outputs for position in made_of(inputs, output, reach)}


def touched(inputs: Sequence[str], outputs: Collection[str], reach: Reach, changed: Collection[str]) -> set[str]:
    """The outputs that are made of any changed input."""
    positions = sorted(bisect_left(inputs, label) for label in changed)
    found = set[str]()
    for output in outputs:
        span = made_of(inputs, output, reach)
        if bisect_left(positions, span.stop) > bisect_left(positions, span.start):
            found.add(output)
    return found
