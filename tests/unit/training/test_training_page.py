"""The report of a training as a person sees it."""

import base64
import json
import re
from datetime import UTC, datetime

import pytest

from quant_pipelines.training import TrainingReport, curves_png, headline, importance_png, training_page
from quant_pipelines.training.curves import curves
from quant_pipelines.training.page import duration
from quant_pipelines.training.report import CURVES, Epoch

NET = [{"train_loss": 1.0, "validation_loss": 1.1, "train_accuracy": 0.4, "validation_accuracy": 0.35, "lr": 0.1}] * 3
LIGHTGBM = [{"train_l2": 1.0, "validation_l2": 1.1}] * 5
XGBOOST = [{"train_rmse": 1.0, "validation_rmse": 1.1}] * 2
LINEAR = [{"train_mse": 1.0}]


def report_of(history, **changes):
    values = {
        "model_id": "ab" * 32, "model_name": "demo.first", "model_kind": "mlp", "training_duration": 125.2,
        "total_epochs": len(history), "best_epoch": 2,
        "final_metrics": {"validation_accuracy": 0.51239, "train_ic": 0.1},
        "training_history": tuple(Epoch(number=n, metrics=each) for n, each in enumerate(history, 1)),
        "hyperparameters": {"lr": 0.1, "note": "<b>"}, "data_info": {"train_rows": 100},
        "feature_importance": {"a": 1.0, "b": 3.0}, "importance_is": "gain",
        "created_at": datetime(2024, 1, 2, tzinfo=UTC),
    }  # fmt: skip
    return TrainingReport(**(values | changes))


def test_the_headline_has_duration_accuracy_and_epochs():
    """S2-48: percent with two decimals."""
    assert headline(report_of(NET)) == {
        "Training duration": "2 min 05 s", "Final accuracy": "51.24%", "Total epochs": "3", "Best epoch": "2"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("metrics", "line"),
    [
        ({"validation_direction_accuracy": 0.5, "train_accuracy": 0.9}, ("Final accuracy, of the direction", "50.00%")),
        ({"train_accuracy": 0.9}, ("Final accuracy, on training rows", "90.00%")),
        ({"validation_mse": 0.000_123_456_7}, ("validation_mse", "0.000123457")),
        ({}, ("Final accuracy", "none was measured")),
    ],
)
def test_where_there_is_no_accuracy_the_main_measure_is_told(metrics, line):
    assert line in headline(report_of(NET, final_metrics=metrics)).items()


@pytest.mark.parametrize(
    ("history", "names"),
    [
        (NET, list(CURVES)),
        (LIGHTGBM, ["train_loss", "val_loss"]),
        (XGBOOST, ["train_loss", "val_loss"]),
        (LINEAR, ["train_loss"]),
        ([], []),
    ],
)
def test_every_kind_of_history_has_its_curves(history, names):
    found = curves(report_of(history))
    assert list(found) == names
    assert all(len(series) == len(history) for series in found.values())


@pytest.fixture(scope="module")
def page():
    return training_page(report_of(NET, error_info="<i>Diverged"))


def test_curves_have_the_users_colours(page):
    """S2-49."""
    assert all(colour in page for colour in ("#ef4444", "#f97316", "#10b981", "#06b6d4"))


def test_importance_is_shown_only_where_there_is_one(page):
    """S2-50."""
    assert "Feature importance" in page
    without = report_of([], feature_importance=None)
    assert "Feature importance" not in training_page(without)
    assert importance_png(without) is None


def test_hyperparameters_are_json_and_everything_is_escaped(page):
    assert "<b>" not in page
    assert "<i>" not in page
    shown = re.search(r"<pre>(.*?)</pre>", page, re.DOTALL).group(1)
    for escaped, plain in (("&#34;", '"'), ("&lt;", "<"), ("&gt;", ">")):
        shown = shown.replace(escaped, plain)
    assert json.loads(shown) == {"lr": 0.1, "note": "<b>"}


def test_the_report_can_be_downloaded_from_its_page(page):
    found = re.search(r"base64,([A-Za-z0-9+/=]+)\"", page.replace("&#43;", "+")).group(1)
    assert TrainingReport.model_validate_json(base64.b64decode(found)) == report_of(NET, error_info="<i>Diverged")


def test_equal_reports_make_equal_pages_and_pictures(page):
    assert training_page(report_of(NET, error_info="<i>Diverged")) == page
    assert curves_png(report_of(NET)).startswith(b"\x89PNG")
    assert curves_png(report_of([])) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.4, "59.4 s"), (59.7, "1 min 00 s"), (3599.6, "1 h 00 min"), (7260, "2 h 01 min")],
)
def test_durations_are_written_for_people(seconds, text):
    assert duration(seconds) == text
