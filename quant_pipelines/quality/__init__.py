"""What data must look like: rules as rows of data, fast verdicts for every bar, the same rules as declared suites."""

from quant_pipelines.quality.expectations import Outcome, SuiteFailed
from quant_pipelines.quality.facts import Facts, Span, facts_for
from quant_pipelines.quality.findings import Findings, judge
from quant_pipelines.quality.prices import PRICE_RULES
from quant_pipelines.quality.raw_bars import RAW_RULES
from quant_pipelines.quality.rules import Rule, Severity, View
from quant_pipelines.quality.shape import WrongColumns
from quant_pipelines.quality.validation import RuleResult, RulesDisagree, ValidationReport, merged, validate

__all__ = [
    "PRICE_RULES",
    "RAW_RULES",
    "Facts",
    "Findings",
    "Outcome",
    "Rule",
    "RuleResult",
    "RulesDisagree",
    "Severity",
    "Span",
    "SuiteFailed",
    "ValidationReport",
    "View",
    "WrongColumns",
    "facts_for",
    "judge",
    "merged",
    "validate",
]
