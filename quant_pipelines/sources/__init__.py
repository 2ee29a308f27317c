"""Where bars come from."""

from quant_pipelines.sources.open import open_source
from quant_pipelines.sources.protocol import BARS, BarRequest, BarSource, Listing, Watermark

__all__ = ["BARS", "BarRequest", "BarSource", "Listing", "Watermark", "open_source"]
