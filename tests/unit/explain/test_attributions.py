"""Contributions of every kind: they add up, agree with definitions, and are the same whatever the company."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from quant_pipelines.explain import (
    EXPLAINERS,
    Attributions,
    ExplainSettings,
    ExplanationRefused,
    Question,
    explain,
    reference_of,
    score_weights,
)
from quant_pipelines.explain.gradients import integrated_gradients
from quant_pipelines.explain.shapley import every_coalition, exactly, shapley
from quant_pipelines.models import MODEL_KINDS, Machine, Task
from tests.learnable import COLUMNS, planted, with_column
from tests.unit.models.test_conformance import KINDS, case_of

ROWS = 8
TOLERANCE = 1e-6


class TinyNet(torch.nn.Module):
    """Curves over a window of 3 sessions."""

    def __init__(self, outputs):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.first = torch.nn.Parameter(torch.randn(12, 16, generator=generator))
        self.second = torch.nn.Parameter(0.1 * torch.randn(16, outputs, generator=generator))

    def forward(self, x):
        hidden = x.reshape(len(x), -1) @ self.first
        return (torch.nn.functional.gelu(hidden) + hidden.tanh()) @ self.second


class Answer(torch.nn.Module):
    def __init__(self, task):
        super().__init__()
        self.classes = task.kind == "classes"

    def answer(self, raw):
        return raw.softmax(1) if self.classes else raw * 0.1


class TinyForecaster:
    """A net with random weights: explanations are about whatever it does."""

    def __init__(self, task, *, answer=None):
        self.settings = MODEL_KINDS["mlp"].settings(task, COLUMNS)
        self.settings = replace(self.settings, length=3)
        self.fitted = torch.nn.Module()
        self.fitted.net, self.fitted.objective = TinyNet(task.outputs), answer or Answer(task)

    def predict(self, inputs, machine=None):
        """One by one: a product of matrices rounds otherwise for another number of rows."""
        with torch.no_grad():
            rows = torch.from_numpy(inputs.sequences()).split(1)
            return torch.cat([self.fitted.objective.answer(self.fitted.net(row)) for row in rows]).numpy()


def asked(model, examples, settings=None, **changes):
    settings = settings or ExplainSettings()
    reference = reference_of(examples.inputs, settings)
    return Question(inputs=examples.inputs.rows(slice(0, ROWS)), reference=reference, settings=settings, **changes)


def of_tiny(task=None, **changes):
    task = task or Task(outputs=2)
    return TinyForecaster(task, **changes), planted(task, sessions=10, length=3)


@pytest.fixture(scope="module", params=KINDS, ids=lambda spec: spec.name)
def fitted(request):
    case = case_of(request.param)
    return case.fitted(), case.train


@pytest.fixture(scope="module")
def explained(fitted):
    model, train = fitted
    return explain(model, asked(model, train))


def same(first: Attributions, second: Attributions) -> bool:
    pairs = [(first.values, second.values), (first.base, second.base), (first.predictions, second.predictions)]
    return all(np.array_equal(a, b) for a, b in pairs)


def test_base_and_contributions_add_up_to_the_prediction(fitted, explained):
    model, train = fitted
    assert explained.predictions.shape == (ROWS, model.settings.task.outputs)
    np.testing.assert_array_equal(explained.predictions, model.predict(train.inputs.rows(slice(0, ROWS))))
    np.testing.assert_allclose(explained.base + explained.values.sum(2), explained.predictions, rtol=0, atol=TOLERANCE)
    assert explained.largest_left <= TOLERANCE


def test_equal_models_and_rows_explain_equally_whatever_the_company(fitted, explained):
    """S2-104, property 9."""
    model, train = fitted
    again = MODEL_KINDS[model.settings.kind].make(model.settings, model.state())
    question = asked(model, train)
    for chosen in (slice(3, 4), np.array([5, 0])):
        assert same(explain(again, question.rows(chosen)), explained.rows(chosen))


def test_columns_that_matter_contribute_most(fitted, explained):
    model, _ = fitted
    size = np.abs(explained.of_score(model.settings.task).values[:, 0]).mean(axis=0)
    assert COLUMNS[int(np.argmax(size))] == "strong"


def test_missing_values_are_explained_where_they_are_read(fitted):
    model, train = fitted
    if MODEL_KINDS[model.settings.kind].takes_missing:
        missing = with_column(train, 2, np.nan)
        assert explain(model, asked(model, missing)).largest_left <= TOLERANCE


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "linear"])
def test_it_adds_up_for_targets_of_any_size(kind, scale):
    """In single precision a forecast of 30,000 is known to thousandths: the tolerance is relative there."""
    case = case_of(MODEL_KINDS[kind])
    target = (case.train.target * scale + 3 * scale).astype(np.float32)
    case = replace(case, train=replace(case.train, target=target), validation=case.validation.rows(slice(0, 0)))
    model = case.fitted()
    assert explain(model, asked(model, case.train)).largest_left <= 2 * TOLERANCE


@pytest.mark.parametrize("task", [Task(), Task(outputs=5), Task(kind="classes", outputs=3)])
def test_gradients_add_up_for_returns_and_probabilities(task):
    model, examples = of_tiny(task)
    found = explain(model, asked(model, examples))
    assert found.parts.sessions is not None
    assert found.parts.sessions.shape == (ROWS, task.outputs, 3)
    told = ~np.isnan(found.parts.sessions).any(axis=(1, 2))
    assert told.any()
    np.testing.assert_allclose(found.parts.sessions[told].sum(2), found.values[told].sum(2), rtol=0, atol=1e-12)
    assert found.largest_left <= TOLERANCE
    if task.kind == "classes":
        assert found.base.sum() == pytest.approx(1)
        np.testing.assert_allclose(found.values.sum(axis=1), 0, atol=TOLERANCE)


def test_gradients_do_not_depend_on_company_or_on_what_ran_before():
    model, examples = of_tiny()
    question = asked(model, examples)
    whole = explain(model, question)
    assert same(explain(model, question.rows(slice(5, 6))), whole.rows(slice(5, 6)))
    assert same(explain(model, question), whole)
    assert model.fitted.net.first.dtype == torch.float32
    assert model.fitted.net.first.requires_grad


def test_gradients_of_a_line_are_its_coefficients():
    """Where a net is a line, its contributions are those of the line."""
    model, examples = of_tiny(Task())
    weights = torch.arange(12, dtype=torch.float32)[:, None]
    model.fitted.net.forward = lambda x: x.reshape(len(x), -1) @ weights.to(x.dtype)
    question = asked(model, examples)
    found, _ = integrated_gradients(model, question)
    steps = question.inputs.sequences().astype(np.float64) - question.reference
    expected = 0.1 * (steps * np.arange(12.0).reshape(3, 4)).sum(axis=1)
    np.testing.assert_allclose(found.values[:, 0], expected, rtol=0, atol=1e-12)


class Jump(torch.nn.Module):
    def answer(self, raw):
        return 0.01 * raw.tanh() + (raw > 0.2).to(raw.dtype)


def test_gradients_say_which_rows_jump():
    model, examples = of_tiny(Task(), answer=Jump())
    question = asked(model, examples)
    parts, complete = integrated_gradients(model, question)
    left = np.abs(model.predict(question.inputs) - parts.base - parts.values.sum(2))[:, 0]
    assert complete.any()
    assert not complete.all()
    assert (left[~complete] > 0.5).all()
    assert (left[complete] <= TOLERANCE).all()


def test_rows_that_jump_are_asked_about_coalitions_and_add_up():
    model, examples = of_tiny(Task(), answer=Jump())
    question = asked(model, examples)
    _, complete = integrated_gradients(model, question)
    found = explain(model, question)
    assert found.largest_left <= TOLERANCE
    np.testing.assert_array_equal(found.values[~complete], shapley(model, question.rows(~complete)).values)
    np.testing.assert_array_equal(np.isnan(found.parts.sessions).any(axis=(1, 2)), ~complete)
    assert f"{int((~complete).sum())} of {ROWS}" in found.parts.method
    alone = explain(model, question.rows(slice(2, 5)))
    np.testing.assert_array_equal(alone.values, found.values[2:5])


def test_more_steps_miss_less():
    model, examples = of_tiny(Task())
    question = asked(model, examples)
    double = copy.deepcopy(model.fitted).double()
    with torch.no_grad():
        true = double.objective.answer(double.net(torch.from_numpy(question.inputs.sequences()).double())).numpy()

    def missed(most_steps):
        settings = ExplainSettings(most_steps=most_steps, tolerance=1e-12)
        parts, _ = integrated_gradients(model, replace(question, settings=settings))
        return np.abs(true - parts.base - parts.values.sum(2)).max()

    assert missed(1024) < missed(16) / 10


def test_a_line_is_explained_as_shapley_values_are_defined():
    case = case_of(MODEL_KINDS["linear"])
    model = case.fitted()
    question = asked(model, case.train)
    native, defined = explain(model, question), shapley(model, question)
    np.testing.assert_allclose(defined.base, native.base, rtol=0, atol=1e-8)
    np.testing.assert_allclose(defined.values, native.values, rtol=0, atol=1e-8)


def test_drawn_orders_come_near_the_exact_values_and_always_add_up():
    case = case_of(MODEL_KINDS["xgboost"])
    model = case.fitted()
    settings = ExplainSettings(exact_columns=0, permutations=64, seed=4)
    exact = shapley(model, asked(model, case.train))
    drawn = shapley(model, asked(model, case.train, settings))
    predictions = model.predict(case.train.inputs.rows(slice(0, ROWS))).astype(np.float64)
    for each in (exact, drawn):
        np.testing.assert_allclose(each.base + each.values.sum(2), predictions, rtol=0, atol=1e-12)
    assert np.abs(drawn.values - exact.values).max() < 0.2 * np.abs(exact.values).max()
    again = shapley(model, asked(model, case.train, settings))
    np.testing.assert_array_equal(again.values, drawn.values)
    other = shapley(model, asked(model, case.train, replace(settings, seed=5)))
    assert not np.array_equal(other.values, drawn.values)


def test_a_kind_without_its_own_explainer_is_asked_about_coalitions():
    model, examples = of_tiny()
    model.settings = replace(model.settings, kind="somebody_elses")
    assert "somebody_elses" not in EXPLAINERS
    found = explain(model, asked(model, examples))
    assert "exact Shapley" in found.parts.method
    assert found.largest_left <= TOLERANCE


def test_every_kind_of_the_zoo_that_can_be_trained_has_its_own_explainer():
    assert {spec.name for spec in KINDS} <= EXPLAINERS.keys() <= MODEL_KINDS.keys()


def tree_worth(node, row, known, names):
    """What one tree says where only some columns are known: branches of unknown ones weigh by their training rows."""
    if "leaf" in node:
        return node["leaf"]
    if names(node) in known:
        return tree_worth(node["low" if node["goes_low"](row) else "high"], row, known, names)
    parts = [node["low"], node["high"]]
    return sum(each["rows"] * tree_worth(each, row, known, names) for each in parts) / sum(e["rows"] for e in parts)


def lightgbm_trees(model):
    def read(node):
        if "leaf_value" in node:
            return {"leaf": node["leaf_value"], "rows": node.get("leaf_count", 1)}
        column, edge = node["split_feature"], node["threshold"]
        return {
            "column": column, "rows": node["internal_count"], "goes_low": lambda row: float(row[column]) <= edge,
            "low": read(node["left_child"]), "high": read(node["right_child"]),
        }  # fmt: skip

    return [read(tree["tree_structure"]) for tree in model.booster.dump_model()["tree_info"]]


def xgboost_trees(model):
    def read(node):
        if "leaf" in node:
            return {"leaf": node["leaf"], "rows": node["cover"]}
        children = {each["nodeid"]: read(each) for each in node["children"]}
        column, edge = int(node["split"][1:]), np.float32(node["split_condition"])
        return {
            "column": column, "rows": node["cover"], "goes_low": lambda row: row[column] < edge,
            "low": children[node["yes"]], "high": children[node["no"]],
        }  # fmt: skip

    return [read(json.loads(text)) for text in model.booster.get_dump(dump_format="json", with_stats=True)]


@pytest.mark.parametrize(("kind", "trees"), [("lightgbm", lightgbm_trees), ("xgboost", xgboost_trees)])
def test_tree_contributions_are_shapley_values_of_branches_weighed_by_their_rows(kind, trees):
    """The definition, by enumeration. Training on all rows alike, else a library's counts are weights."""
    case = case_of(MODEL_KINDS[kind])
    rounds = {"lightgbm": "num_boost_round", "xgboost": "n_estimators"}[kind]
    settings = replace(case.settings, parameters={**case.settings.parameters, rounds: 5})
    model = replace(case, settings=settings).fitted()
    found = explain(model, asked(model, case.train))
    coalitions = [set(np.flatnonzero(each).tolist()) for each in every_coalition(len(COLUMNS))]
    grown = trees(model)
    for place in range(4):
        row = case.train.inputs.panel()[place]
        worth = np.array(
            [[sum(tree_worth(tree, row, known, lambda node: node["column"]) for tree in grown)] for known in coalitions]
        )
        np.testing.assert_allclose(found.values[place], exactly(worth, len(COLUMNS)), rtol=0, atol=1e-7)


def test_the_score_of_classes_is_up_less_down_and_still_adds_up():
    task = Task(kind="classes", outputs=3)
    model, examples = of_tiny(task)
    found = explain(model, asked(model, examples))
    score = found.of_score(task)
    np.testing.assert_allclose(score.predictions[:, 0], task.signal(found.predictions), atol=1e-12)
    np.testing.assert_allclose(score.values[:, 0], found.values[:, 2] - found.values[:, 0], atol=1e-12)
    assert score.largest_left <= 2 * TOLERANCE
    np.testing.assert_array_equal(score_weights(Task(outputs=3)), [1, 1, 1])


def test_the_reference_is_the_mean_of_what_is_known():
    examples = planted(Task(), sessions=10)
    settings = ExplainSettings(reference_rows=10_000)
    np.testing.assert_allclose(
        reference_of(examples.inputs, settings)[0], examples.inputs.panel().mean(axis=0), rtol=0, atol=1e-6
    )
    missing = reference_of(with_column(examples, 1, np.nan).inputs, settings)
    assert np.isnan(missing[0, 1])
    assert np.isfinite(np.delete(missing, 1)).all()
    few = ExplainSettings(reference_rows=5)
    np.testing.assert_array_equal(reference_of(examples.inputs, few), reference_of(examples.inputs, few))
    assert not np.array_equal(reference_of(examples.inputs, few), reference_of(examples.inputs, replace(few, seed=1)))


def test_nothing_to_explain_and_settings_without_meaning_are_refused():
    model, examples = of_tiny()
    question = asked(model, examples)
    with pytest.raises(ExplanationRefused, match="no row to explain"):
        explain(model, question.rows(slice(0, 0)))
    with pytest.raises(ExplanationRefused, match="no training row"):
        reference_of(examples.inputs.rows(slice(0, 0)), ExplainSettings())
    for wrong in ({"n_samples": 0}, {"permutations": 0}, {"tolerance": 0.0}, {"exact_columns": -1}):
        with pytest.raises(ExplanationRefused, match="no meaning"):
            ExplainSettings(**wrong)


def test_threads_are_given_back():
    before = torch.get_num_threads()
    model, examples = of_tiny()
    explain(model, replace(asked(model, examples), machine=Machine(threads=1)))
    assert torch.get_num_threads() == before
