"""A seeded market made by arithmetic: no data, no network, and a signal whose strength is known."""

from quant_pipelines.sources.synthetic.bars import SCORES, SyntheticBars
from quant_pipelines.sources.synthetic.names import TooManySymbols
from quant_pipelines.sources.synthetic.recipe import EDGE

__all__ = ["EDGE", "SCORES", "SyntheticBars", "TooManySymbols"]
