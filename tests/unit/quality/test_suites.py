"""The declared suites: Great Expectations says of every row what the fast rules say."""

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from quant_pipelines.quality import PRICE_RULES, RAW_RULES, RulesDisagree, Severity, SuiteFailed, judge, validate
from quant_pipelines.quality.bars import hard
from quant_pipelines.quality.checks import Expectation, Known
from quant_pipelines.quality.expectations import library
from quant_pipelines.quality.frame import Frame
from quant_pipelines.quality.price_views import ALL_ROWS
from quant_pipelines.quality.rules import Frames, Rule
from tests.unit.quality.making import (
    FACTS,
    NO_PRICES,
    ONE_LISTING,
    SATURDAY,
    SESSIONS,
    bars,
    dirty_bars,
    dirty_prices,
    every_session,
    prices,
)

# One example runs fifty expectations, in half a second; the nightly profile looks further.
# Not shrunk, which would take minutes: a dozen rows can be read as they are.
FEW = settings(max_examples=settings().max_examples // 8, phases=[Phase.explicit, Phase.reuse, Phase.generate])


@pytest.fixture(scope="module")
def gx() -> Any:
    great_expectations = library()
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    config = DataContextConfig(store_backend_defaults=stores, progress_bars=ProgressBarsConfig(globally=False))
    return great_expectations.get_context(mode="ephemeral", project_config=config)


def unexpected_rows(gx: Any, checks: list[Any], frame: Frame) -> list[list[int]]:
    """What the library itself marks, check by check, asked for row numbers."""
    import great_expectations
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    declared = [check.expectation(FACTS) for check in checks]
    expectations = [
        ExpectationConfiguration(type=each.kind, kwargs=dict(each.arguments), meta={"at": at}).to_domain_obj()
        for at, each in enumerate(declared)
    ]
    columns = {name for check in checks for name in check.columns}
    source = gx.data_sources.add_or_update_pandas("rows")
    batch = source.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    suite = great_expectations.ExpectationSuite(name="checks", expectations=expectations)
    rows = {"dataframe": frame.table.select(sorted(columns)).to_pandas()}
    results = batch.get_batch(rows).validate(suite, result_format="COMPLETE").results
    assert not any(result.exception_info["raised_exception"] for result in results)
    marked = {r.expectation_config.meta["at"]: r.result.get("unexpected_index_list") or [] for r in results}
    return [sorted(marked[at]) for at in range(len(checks))]


def assert_the_library_agrees(gx: Any, rules: tuple[Rule, ...], table: pa.Table) -> None:
    frames = Frames(table, FACTS)
    for view in dict.fromkeys(rule.view for rule in rules):
        frame = frames.of(view)
        checks = [check for rule in rules if rule.view == view for check in rule.checks]
        for check, marked in zip(checks, unexpected_rows(gx, checks, frame), strict=True):
            assert np.flatnonzero(check.broken(frame, FACTS)).tolist() == marked, f"{view.name}: {check}"


@settings(FEW)
@given(table=dirty_bars())
def test_each_fast_rule_of_raw_bars_marks_the_rows_its_expectation_marks(gx, table):
    assert_the_library_agrees(gx, RAW_RULES, table)


@settings(FEW)
@given(table=dirty_prices())
def test_each_fast_rule_of_prices_marks_the_rows_its_expectation_marks(gx, table):
    assert_the_library_agrees(gx, PRICE_RULES, table)


def test_the_library_agrees_on_columns_of_the_wrong_type(gx):
    table = bars({}).set_column(3, "open", pa.array(["9.9"])).append_column("extra", pa.array([1]))
    frame = Frames(table, FACTS).of(RAW_RULES[0].view)
    (marked,) = unexpected_rows(gx, list(RAW_RULES[0].checks), frame)
    assert len(marked) == 2
    assert_the_library_agrees(gx, RAW_RULES[:1], table)


@settings(FEW)
@given(table=dirty_bars())
def test_the_suite_and_the_judge_count_alike(table):
    findings, report = judge(table, RAW_RULES, FACTS), validate(table, RAW_RULES, FACTS)
    counts = {each.rule: each.broken for each in report.results if each.broken}
    assert counts == findings.hard_counts() | findings.soft_counts()
    assert report.success == (findings.hard_rows == 0)


@settings(FEW, max_examples=FEW.max_examples // 3)
@given(table=dirty_prices(), random=st.randoms())
def test_a_report_depends_on_neither_the_order_of_rows_nor_the_time_of_asking(table, random):
    order = list(range(table.num_rows))
    random.shuffle(order)
    shuffled = table.take(pa.array(order, pa.int64()))
    assert validate(table, PRICE_RULES, FACTS).as_json() == validate(shuffled, PRICE_RULES, FACTS).as_json()


@pytest.mark.parametrize(("rules", "table"), [(RAW_RULES, bars()), (PRICE_RULES, prices())], ids=["raw_bars", "prices"])
def test_an_empty_table_has_every_hard_rule_held(rules, table):
    report = validate(table, rules, FACTS)
    assert report.success
    assert [each.rule for each in report.results] == [rule.name for rule in rules]


def test_a_clean_table_holds_every_rule():
    """X-44: one result model for every check."""
    report = validate(prices(*every_session()), PRICE_RULES, ONE_LISTING)
    assert report.success
    assert report.soft == ()
    assert {row["result"] for row in report.table()} == {"held"}


def test_soft_findings_are_listed_and_do_not_block():
    """S1-33 blocks on hard findings only; what is worth a look is said and passes."""
    report = validate(
        prices(*every_session(), {"session": SESSIONS[0], "symbol": "600002", "vwap": 11.0}), PRICE_RULES, ONE_LISTING
    )
    assert report.success
    (soft,) = report.soft
    assert (soft.rule, soft.severity, soft.broken, soft.rows) == ("vwap_inside", Severity.SOFT, 1, len(SESSIONS) + 1)
    assert soft.share == pytest.approx(1 / (len(SESSIONS) + 1))
    assert soft.examples == (
        "2024-01-02 600002: vwap 11 is above high 10.2; a volume-weighted price lies within its bar",
    )


def test_hard_findings_block():
    """S1-33: the trainer is hard-blocked when data quality fails."""
    report = validate(bars({}, {"session": SATURDAY, "close": None}), RAW_RULES, ONE_LISTING)
    assert not report.success
    assert [each.rule for each in report.hard] == ["null_price", "is_session"]


def test_a_report_is_plain_json_whatever_the_data_holds():
    table = bars(
        {"close": float("nan"), "high": float("inf"), "volume": -1.0}, {"symbol": "999999", "session": SATURDAY}
    )
    plain = validate(table, RAW_RULES, FACTS).as_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_examples_are_few_and_come_first_by_key():
    dirty = [{"session": each, "volume": -1.0} for each in reversed(SESSIONS)]
    (broken,) = validate(bars(*dirty), RAW_RULES, ONE_LISTING).hard
    assert broken.broken == len(SESSIONS)
    assert [each[:10] for each in broken.examples] == [f"{each:%Y-%m-%d}" for each in SESSIONS[:5]]


def test_a_wrong_shape_is_said_once_and_the_rest_is_named_as_skipped():
    """S2-106: format mismatch and missing fields block, by name."""
    report = validate(bars({}).drop_columns(["close"]), RAW_RULES, FACTS)
    assert not report.success
    (shape,) = report.results
    assert shape.examples[0].startswith("close: column close: found no column, expected double")
    assert report.skipped == tuple(rule.name for rule in RAW_RULES[1:])


@dataclass(frozen=True)
class Blind(Known):
    """A check whose fast form sees nothing."""

    def broken(self, frame: Frame, facts: Any) -> Any:
        return np.zeros(frame.rows, dtype=np.bool_)


@dataclass(frozen=True)
class ShortSighted(Known):
    """A check whose fast form sees only the first row that it should."""

    def broken(self, frame: Frame, facts: Any) -> Any:
        missing = frame.missing(self.column)
        return missing & (np.cumsum(missing) == 1)


@dataclass(frozen=True)
class Unanswerable(Known):
    """A check whose expectation the library cannot evaluate."""

    def expectation(self, facts: Any) -> Expectation:
        return Expectation("expect_column_values_to_not_be_null", {"column": "nowhere"})


@pytest.mark.parametrize(("check", "seen"), [(Blind, 0), (ShortSighted, 1)])
def test_a_rule_whose_two_forms_differ_decides_nothing(check, seen):
    table = prices({"close": None}, {"close": None, "symbol": "600001"})
    message = rf"Rule lies found \[{seen}\] .* and \[2\] by Great Expectations"
    with pytest.raises(RulesDisagree, match=message) as found:
        validate(table, [hard("lies", ALL_ROWS, "", check("close", "close"))], FACTS)
    assert found.value.code == "QP231"
    assert not validate(table, [hard("honest", ALL_ROWS, "", Known("close", "close"))], FACTS).success


def test_an_expectation_without_an_answer_is_an_error_and_no_verdict():
    with pytest.raises(
        SuiteFailed, match="could not evaluate expect_column_values_to_not_be_null on all_rows"
    ) as found:
        validate(prices({}), [hard("unanswerable", ALL_ROWS, "", Unanswerable("close", "close"))], FACTS)
    assert found.value.code == "QP232"
    assert validate(prices({}), [hard("answerable", ALL_ROWS, "", Known("close", "close"))], FACTS).success


def test_a_validation_leaves_the_library_as_it_was(gx, capfd):
    from great_expectations.data_context.data_context.context_factory import project_manager

    project_manager.set_project(gx)
    assert validate(prices(*every_session()), PRICE_RULES, ONE_LISTING).success
    assert project_manager.get_current_project() is gx
    assert capfd.readouterr().err == ""


def test_the_newest_session_of_the_whole_table_decides_freshness():
    old = prices({"session": SESSIONS[0]})
    facts = replace(ONE_LISTING, last=SESSIONS[0])
    assert [each.rule for each in validate(old, PRICE_RULES, facts).soft] == ["freshness"]
    assert validate(old, PRICE_RULES, replace(facts, newest=SESSIONS[-1])).soft == ()


def test_unpriced_rows_are_free_of_the_rules_for_prices():
    suspended = prices(*({**each, **NO_PRICES, "suspended": True} for each in every_session()))
    report = validate(suspended, PRICE_RULES, ONE_LISTING)
    assert report.success
    assert [each.rule for each in report.soft] == ["gap", "coverage"]
