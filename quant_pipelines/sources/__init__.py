"""Where bars come from."""

from quant_pipelines.sources.connectivity import MISSING_CREDENTIALS, Connectivity, Reach, check_connectivity
from quant_pipelines.sources.open import Answering, open_fallback, open_source, who_answers
from quant_pipelines.sources.protocol import BARS, BarRequest, BarSource, Listing, Watermark

__all__ = [
    "BARS",
    "MISSING_CREDENTIALS",
    "Answering",
    "BarRequest",
    "BarSource",
    "Connectivity",
    "Listing",
    "Reach",
    "Watermark",
    "check_connectivity",
    "open_fallback",
    "open_source",
    "who_answers",
]
