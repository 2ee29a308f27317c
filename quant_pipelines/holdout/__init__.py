"""The holdout: candidate and champion on sessions that neither has seen, read rarely, and every read on record."""

from quant_pipelines.holdout.examining import Examiner
from quant_pipelines.holdout.exchange import Exchange
from quant_pipelines.holdout.reading import Answers, Before, Examination, Pair, Reader
from quant_pipelines.holdout.reads import LOOK, Look, Looks
from quant_pipelines.holdout.trades import Trades

__all__ = [
    "LOOK",
    "Answers",
    "Before",
    "Examination",
    "Examiner",
    "Exchange",
    "Look",
    "Looks",
    "Pair",
    "Reader",
    "Trades",
]
