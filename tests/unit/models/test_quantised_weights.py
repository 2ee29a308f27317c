"""Weights of 8 bits: what is kept, how far it is from what was learned, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from quant_pipelines.models import MODEL_KINDS, Fitting, Forecaster, StateRefused, Task
from quant_pipelines.models.neural.weights import FILE, packed, restored
from quant_pipelines.registry.safetensors_header import require_honest
from tests.learnable import COLUMNS, halves, planted

SPEC = MODEL_KINDS["lstm"]
QUICK = {"hidden_size": 16, "num_layers": 1, "lookback": 4, "n_epochs": 4, "batch_size": 96, "lr": 0.03}
TRAIN, VALIDATION = halves(planted(Task(outputs=2), length=4))


def fitted(*, quantise: bool) -> Forecaster:
    model = SPEC.make(SPEC.settings(Task(outputs=2), COLUMNS, chosen={**QUICK, "quantise": quantise}), None)
    model.fit(TRAIN, VALIDATION, Fitting())
    return model


@pytest.fixture(scope="module")
def plain():
    return fitted(quantise=False)


@pytest.fixture(scope="module")
def quantised():
    return fitted(quantise=True)


def test_matrices_are_whole_numbers_within_half_a_step_of_what_was_learned(plain, quantised):
    learned, kept = load(plain.state()[FILE]), load(quantised.state()[FILE])
    for name, weight in learned.items():
        if weight.dim() == 1:
            assert torch.equal(kept[name], weight)
            continue
        steps, scale = kept[name], kept[f"{name}.row_scale"]
        assert steps.dtype == torch.int8
        assert scale.shape == (len(weight), *[1] * (weight.dim() - 1))
        assert (steps.abs().amax(1) == 127).all()
        assert ((steps * scale - weight).abs() <= scale / 2 * (1 + 1e-5)).all()


def test_it_predicts_with_what_it_keeps_from_the_first_prediction_on(quantised):
    kept, used = load(quantised.state()[FILE]), quantised.fitted.state_dict()
    for name, weight in used.items():
        scale = kept.get(f"{name}.row_scale")
        assert torch.equal(weight, kept[name] if scale is None else kept[name] * scale)


def test_it_predicts_nearly_what_was_learned(plain, quantised):
    exact, near = (model.predict(VALIDATION.inputs) for model in (plain, quantised))
    assert np.corrcoef(exact[:, 0], near[:, 0])[0, 1] > 0.999
    assert not np.array_equal(exact, near)


def test_a_row_of_zeros_stays_one():
    layer = nn.Linear(3, 2)
    layer.weight.data[1] = 0
    restored(packed(layer, quantised=True), layer, quantised=True)
    assert (layer.weight[1] == 0).all()
    assert (layer.weight[0] != 0).all()


def test_a_large_matrix_takes_a_quarter_of_the_room():
    layer = nn.Linear(512, 512)
    assert len(packed(layer)[FILE]) / len(packed(layer, quantised=True)[FILE]) > 3.9


def test_the_model_store_takes_its_file(quantised):
    require_honest(FILE, quantised.state()[FILE])


def test_a_state_is_read_as_it_was_kept_or_not_at_all(plain, quantised):
    for settings, state in ((plain.settings, quantised.state()), (quantised.settings, plain.state())):
        with pytest.raises(StateRefused, match="tensors differ"):
            SPEC.make(settings, state)


def test_a_scale_that_is_no_number_is_refused(quantised):
    found = load(quantised.state()[FILE])
    found["net.out.weight.row_scale"].fill_(torch.nan)
    with pytest.raises(StateRefused, match="holds NaN"):
        SPEC.make(quantised.settings, {FILE: save(found)})


def test_a_version_from_before_there_was_a_choice_is_read_as_it_was(plain):
    parameters = {name: value for name, value in plain.settings.parameters.items() if name != "quantise"}
    again = SPEC.make(replace(plain.settings, parameters=parameters), plain.state())
    np.testing.assert_array_equal(again.predict(VALIDATION.inputs), plain.predict(VALIDATION.inputs))
