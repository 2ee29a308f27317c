"""Labels as a table of the lake: made from prices, published by session as their spans close, judged."""

from quant_pipelines.label_tables.proof import RULES, Judgement, LabelRule, judge_labels
from quant_pipelines.label_tables.publish import LabelPublisher, PublishedLabels, longest_span
from quant_pipelines.label_tables.schema import LABELS

__all__ = [
    "LABELS",
    "RULES",
    "Judgement",
    "LabelPublisher",
    "LabelRule",
    "PublishedLabels",
    "judge_labels",
    "longest_span",
]
