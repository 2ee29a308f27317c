"""Labels as a table of the lake: made from prices, published by session as their spans close, judged."""

from quant_pipelines.label_tables.proof import RULES, Judgement, LabelRule, judge_labels
from quant_pipelines.label_tables.publish import DEFINITIONS, LabelPublisher, PublishedLabels, longest_span
from quant_pipelines.label_tables.schema import LABELS
from quant_pipelines.label_tables.summary import SetSummary, positive_shares, set_summaries

__all__ = [
    "DEFINITIONS",
    "LABELS",
    "RULES",
    "Judgement",
    "LabelPublisher",
    "LabelRule",
    "PublishedLabels",
    "SetSummary",
    "judge_labels",
    "longest_span",
    "positive_shares",
    "set_summaries",
]
