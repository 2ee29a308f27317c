"""Up to four models side by side (S2-33)."""

import pytest

from quant_pipelines.training import ComparisonRefused, ModelComparison, compare, comparison_page
from tests.unit.training.test_training_page import LIGHTGBM, NET, report_of


def named(name, **changes):
    return report_of(changes.pop("history", NET), **{"model_id": name * 8, "model_name": f"demo.{name}", **changes})


@pytest.mark.parametrize("count", [0, 1, 5])
def test_two_to_four_models_are_compared(count):
    with pytest.raises(ComparisonRefused, match="2 to 4 can be compared"):
        compare([named(letter) for letter in "abcde"[:count]])


def test_a_model_is_not_compared_with_itself():
    with pytest.raises(ComparisonRefused, match="named more than once"):
        compare([named("a"), named("b"), named("a")])


def test_the_best_of_each_measure_is_marked():
    found = compare(
        [
            named("a", final_metrics={"validation_mse": 0.2, "validation_ic": 0.03, "train_ic": 0.1}),
            named("b", final_metrics={"validation_mse": 0.1, "validation_ic": 0.05, "train_ic": 0.1}),
            named("c", final_metrics={"validation_ic": 0.01, "validation_log_loss": 0.6}),
        ]
    )
    rows = {each.metric: each for each in found.metrics}
    assert rows["validation_mse"].values == (0.2, 0.1, None)
    assert {name: row.best for name, row in rows.items()} == {
        "validation_mse": 1, "validation_ic": 1, "train_ic": None, "validation_log_loss": None
    }  # fmt: skip


def test_only_hyperparameters_that_differ_are_listed():
    found = compare([named("a", hyperparameters={"x": 1, "y": 1}), named("b", hyperparameters={"x": 1, "y": True})])
    assert [(each.parameter, each.values) for each in found.parameters] == [("y", (1, True))]
    assert compare([named("a"), named("b")]).parameters == ()


def test_importances_are_shares_side_by_side():
    found = compare(
        [
            named("a", feature_importance={"f": 3.0, "g": 1.0}),
            named("b", feature_importance={"g": 10.0}),
            named("c", feature_importance=None),
        ]
    )
    assert {each.feature: each.shares for each in found.features} == {"f": (0.75, 0.0, None), "g": (0.25, 1.0, None)}
    assert found.features[0].feature == "g"


def test_versions_of_one_model_are_told_apart():
    found = compare([named("a", model_name="demo.x"), named("b", model_name="demo.x"), named("c")])
    assert [each.name for each in found.models] == ["demo.x aaaaaaaa", "demo.x bbbbbbbb", "demo.c"]


def test_models_of_other_snapshots_are_compared_with_a_warning():
    bare = {"history": [], "feature_importance": None}
    first = named("a", data_info={"snapshot": "s"}, **bare)
    same, other = (compare([first, named("b", data_info={"snapshot": each}, **bare)]) for each in "st")
    assert "different snapshots" not in comparison_page(same)
    assert "different snapshots" in comparison_page(other)


def test_the_page_shows_four_models_of_any_kind_and_escapes_their_names():
    reports = [named("a"), named("b", history=LIGHTGBM), named("c", history=[], feature_importance=None)]
    page = comparison_page(compare([*reports, named("d", model_name="<script>")]))
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert all(f"demo.{letter}" in page for letter in "abc")
    assert page.count("<svg") == 2


def test_models_without_curves_and_importances_are_compared_too():
    page = comparison_page(compare([named(each, history=[], feature_importance=None) for each in "ab"]))
    assert "<svg" not in page


def test_it_is_json_and_back():
    found = compare([named("a"), named("b")])
    assert ModelComparison.model_validate_json(found.model_dump_json()) == found
