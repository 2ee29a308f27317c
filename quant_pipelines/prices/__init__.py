"""Prices that can be trusted: collected, judged, completed, published, restated in the open."""

from quant_pipelines.prices.adjust import adjusted
from quant_pipelines.prices.build import REFERENCE_SESSIONS, HardFindings, Published, Publisher
from quant_pipelines.prices.changes import changed_sessions, consecutive
from quant_pipelines.prices.collect import Collected, Collector
from quant_pipelines.prices.curve import market_curve
from quant_pipelines.prices.windows import (
    SessionNotClosed,
    all_sessions,
    chunks,
    closed_part,
    label_window,
    look_ahead,
    look_back,
    sessions_to_refresh,
)

__all__ = [
    "REFERENCE_SESSIONS",
    "Collected",
    "Collector",
    "HardFindings",
    "Published",
    "Publisher",
    "SessionNotClosed",
    "adjusted",
    "all_sessions",
    "changed_sessions",
    "chunks",
    "closed_part",
    "consecutive",
    "label_window",
    "look_ahead",
    "look_back",
    "market_curve",
    "sessions_to_refresh",
]
