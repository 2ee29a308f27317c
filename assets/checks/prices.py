"""The rules of raw_bars and prices as asset checks: Great Expectations suites over the run's sessions (X-44)."""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from assets.keys import PRICES, RAW_BARS, key_of
from assets.metadata import records
from assets.partitions import sessions_checked
from assets.reactions import reacting
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Table, Window, tables
from quant_pipelines.lake.schemas import TableSchema
from quant_pipelines.markets import Market
from quant_pipelines.prices import chunks, label_window, look_back
from quant_pipelines.quality import (
    PRICE_RULES,
    RAW_RULES,
    Rule,
    RuleResult,
    Severity,
    ValidationReport,
    facts_for,
    merged,
    validate,
)
from quant_pipelines.sources import Answering
from resources.lake import LakeResource
from resources.sources import SourcesResource

DEGRADATION = "own_source_answers"


def price_checks(market: Market) -> Sequence[dg.AssetChecksDefinition]:
    """One suite for each table of the market; each rule is a check of its own."""
    return (
        _suite(market, RAW_BARS, tables.RAW_BARS, RAW_RULES),
        _suite(market, PRICES, tables.PRICES, PRICE_RULES),
    )


def _suite(market: Market, name: str, schema: TableSchema, rules: Sequence[Rule]) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(
        name=f"{market.name}_{name}_suite",
        specs=[*(_spec(market, name, rule) for rule in rules), _degradation_spec(market, name)],
        description=f"Great Expectations suite of {name}: {len(rules)} rules over the sessions of the run.",
    )
    def suite(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, sources: SourcesResource
    ) -> Iterable[dg.AssetCheckResult]:
        with reacting(context):
            answering = sources.answering(market)
            table = lake.open().table(market.name, schema)
            report = _validated(sessions_checked(context, market), table, rules, market, answering)
        yield from _results(key_of(market, name), rules, report)
        yield _degradation(key_of(market, name), answering)

    return suite


def _validated(
    window: Window, table: Table, rules: Sequence[Rule], market: Market, answering: Answering
) -> ValidationReport:
    calendar = market.sessions_calendar
    newest = max(table.session_ids(), default=None)
    listings = answering.source.listings()
    reports: list[ValidationReport] = []
    for chunk in chunks(calendar, window):
        judged = _judged(chunk, market, table.schema)
        facts = facts_for(market, listings, judged, SystemClock(), newest=newest)
        reports.append(validate(table.read(label_window(calendar, judged)), rules, facts))
    return merged(reports)


def _degradation_spec(market: Market, name: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        DEGRADATION,
        asset=key_of(market, name),
        description="The market's own source answers, not its fallback (S2-109). Soft rule.",
    )


def _degradation(asset: dg.AssetKey, answering: Answering) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=DEGRADATION,
        passed=answering.degraded is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=answering.degraded or f"{answering.source.name} answers.",
    )


def _judged(window: Window, market: Market, schema: TableSchema) -> Window:
    """Prices are judged with the sessions before them: a gap is only seen by who looks back far enough."""
    if schema is not tables.PRICES:
        return window
    calendar = market.sessions_calendar
    first = look_back(calendar, window.first, market.quality.gap_sessions, earliest=market.begins)
    return Window(first, window.last)


def _spec(market: Market, name: str, rule: Rule) -> dg.AssetCheckSpec:
    # Blocking only where the market's policy blocks: `quarantine` holds the broken rows out and goes on.
    blocks = rule.severity is Severity.HARD and market.quality.on_hard_finding == "block"
    return dg.AssetCheckSpec(
        rule.name,
        asset=key_of(market, name),
        blocking=blocks,
        description=f"{rule.expects}. {rule.severity.value.capitalize()} rule.",
    )


def _results(asset: dg.AssetKey, rules: Sequence[Rule], report: ValidationReport) -> Iterable[dg.AssetCheckResult]:
    found = {result.rule: result for result in report.results}
    for rule in rules:
        result = found.get(rule.name)
        yield dg.AssetCheckResult(
            asset_key=asset,
            check_name=rule.name,
            passed=result is not None and result.success,
            severity=dg.AssetCheckSeverity.ERROR if rule.severity is Severity.HARD else dg.AssetCheckSeverity.WARN,
            description=_sentence(result),
            metadata=_metadata(result),
        )


def _sentence(result: RuleResult | None) -> str:
    if result is None:
        return "Not judged: the table has another shape than its schema says."
    if result.success:
        return f"Held by all {result.rows} rows."
    return f"{result.broken} of {result.rows} rows are broken; expected: {result.expects}."


def _metadata(result: RuleResult | None) -> dict[str, Any]:
    if result is None:
        return {}
    return {
        "broken": result.broken,
        "of": result.rows,
        "share": result.share,
        **({"examples": records([{"example": each} for each in result.examples])} if result.examples else {}),
        "expectations": dg.MetadataValue.json([each.as_json() for each in result.expectations]),
    }
