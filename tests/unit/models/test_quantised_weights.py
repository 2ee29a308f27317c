"""S1-89, model quantisation: what is kept in 8 bits, how far it is from what was learned, and what is refused."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from quant_pipelines.models import MODEL_KINDS, Fitting, Forecaster, StateRefused, Task
from quant_pipelines.models.neural.nets.tft import ColumnLinear, ColumnNorm
from quant_pipelines.models.neural.weights import FILE, packed, restored
from quant_pipelines.registry.safetensors_header import require_honest
from tests.learnable import COLUMNS, halves, planted

SPEC = MODEL_KINDS["lstm"]
QUICK = {"hidden_size": 16, "num_layers": 1, "lookback": 4, "n_epochs": 4, "batch_size": 96, "lr": 0.03}
TRAIN, VALIDATION = halves(planted(Task(outputs=2), length=4))
NETS = [name for name, spec in MODEL_KINDS.items() if "quantise" in spec.defaults]


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


@pytest.fixture(scope="module", params=NETS)
def pair(request) -> tuple[Forecaster, Forecaster]:
    """A net of every kind as it was learned in one short epoch, and the same quantised."""
    spec, models = MODEL_KINDS[request.param], []
    for quantise in (False, True):
        settings = spec.settings(Task(outputs=2), COLUMNS, chosen={"n_epochs": 1, "quantise": quantise})
        train, validation = halves(planted(settings.task, length=settings.length, symbols=2, sessions=12))
        models.append(spec.make(settings, None))
        models[-1].fit(train, validation, Fitting())
    return models[0], models[1]


def states(pair) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    plain, quantised = pair
    return load(plain.state()[FILE]), load(quantised.state()[FILE])


def owner(model, name: str) -> nn.Module:
    return model.fitted.get_submodule(name.rpartition(".")[0])


def row_axes(owner: nn.Module, weight: torch.Tensor) -> tuple[int, ...]:
    """Which values one output reads: of (columns x in x out) those of the middle, else all but the first axis."""
    return (1,) if isinstance(owner, ColumnLinear | ColumnNorm) else tuple(range(1, weight.dim()))


def test_a_kept_value_is_within_half_a_step_of_its_own_row(pair):
    learned, kept = states(pair)
    rounded = [name for name, each in kept.items() if each.dtype == torch.int8]
    assert kept.keys() == learned.keys() | {f"{name}.row_scale" for name in rounded}
    for name in rounded:
        steps, scale, weight = kept[name], kept[f"{name}.row_scale"], learned[name]
        along = row_axes(owner(pair[0], name), weight)
        assert scale.shape == weight.abs().amax(along, keepdim=True).shape, name
        assert (steps.abs().amax(along) == 127).all(), name
        assert ((steps * scale - weight).abs() <= scale / 2 * (1 + 1e-4)).all(), name


def test_biases_and_norms_stay_as_they_were_learned(pair):
    learned, kept = states(pair)
    found = [name for name in learned if "bias" in name or "Norm" in type(owner(pair[0], name)).__name__]
    assert found
    for name in found:
        assert torch.equal(kept[name], learned[name]), name


def test_rows_of_several_values_are_rounded_and_no_others(pair):
    """A row of one value would take more room with its scale."""
    learned, kept = states(pair)
    for name, weight in learned.items():
        several = prod(weight.shape[axis] for axis in row_axes(owner(pair[0], name), weight)) > 1
        assert kept[name].dtype == (torch.int8 if several else weight.dtype), name


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
