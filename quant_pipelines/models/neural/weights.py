"""A learner at rest: one safetensors file, taken only where it is exactly what the net asks for.

Quantised, its matrices are whole numbers of 8 bits, with a scale for each row: what one of them is worth there. A row
is what one output reads: it lies along all axes but the first, or along the one that a module names its `input_axis`. A
row of one value would take more room with a scale, so those stay as they are: biases, norms, the scale of the target.
"""

from collections.abc import Mapping
from math import prod

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from quant_pipelines.models.failures import StateRefused
from quant_pipelines.models.forecaster import Files

FILE = "weights.safetensors"
_NAMED_AT_MOST = 3
_SCALE = ".row_scale"
_LARGEST = 127

# Of each matrix by its name, the axes along which a row lies.
_Rows = Mapping[str, tuple[int, ...]]


def packed(learner: nn.Module, *, quantised: bool = False) -> Files:
    tensors = {name: each.detach().cpu().contiguous() for name, each in learner.state_dict().items()}
    return {FILE: save(_quantised(tensors, _rows(learner)) if quantised else tensors)}


def restored(state: Files, learner: nn.Module, *, quantised: bool = False) -> None:
    """Give a learner (on the device `meta`, it has no memory of its own yet) the tensors of a state, or refuse them."""
    found, tensors = _tensors(state), learner.state_dict()
    differing = _differing(found, _quantised(tensors, _rows(learner)) if quantised else tensors)
    if differing:
        told = ", ".join(differing[:_NAMED_AT_MOST])
        raise StateRefused(f"{FILE} is not the state of such a net: {len(differing)} tensors differ, e.g. {told}.")
    damaged = [name for name, each in found.items() if not torch.isfinite(each).all()]
    if damaged:
        raise StateRefused(f"{FILE} holds NaN or infinity in {', '.join(damaged[:_NAMED_AT_MOST])}.")
    learner.load_state_dict(_dequantised(found) if quantised else found, assign=True)


def _rows(learner: nn.Module) -> _Rows:
    found: dict[str, tuple[int, ...]] = {}
    for name, each in learner.state_dict().items():
        named = getattr(learner.get_submodule(name.rpartition(".")[0]), "input_axis", None)
        axes = tuple(range(1, each.dim())) if named is None else (named,)
        if prod(each.shape[axis] for axis in axes) > 1:
            found[name] = axes
    return found


def _quantised(tensors: Mapping[str, Tensor], rows: _Rows) -> dict[str, Tensor]:
    found = dict(tensors)
    for name, axes in rows.items():
        scale = tensors[name].abs().amax(axes, keepdim=True) / _LARGEST
        steps = tensors[name] / torch.where(scale > 0, scale, 1)
        found |= {name: steps.round().to(torch.int8), name + _SCALE: scale}
    return found


def _dequantised(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    scales = {name.removesuffix(_SCALE): each for name, each in tensors.items() if name.endswith(_SCALE)}
    return {
        name: each * scales[name] if name in scales else each
        for name, each in tensors.items()
        if not name.endswith(_SCALE)
    }


def _tensors(state: Files) -> dict[str, Tensor]:
    if set(state) != {FILE}:
        raise StateRefused(f"A net is one file, {FILE}; found {', '.join(sorted(state)) or 'nothing'}.")
    try:
        return load(state[FILE])
    # The library's own errors, and those of its wrapper for a type of number that PyTorch does not have.
    except (SafetensorError, KeyError, ValueError) as error:
        raise StateRefused(f"{FILE} is no safetensors file: {str(error).splitlines()[0]}.") from error


def _differing(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    shapes = [{name: _shape(each) for name, each in tensors.items()} for tensors in (found, expected)]
    return [name for name in sorted(found.keys() | expected.keys()) if shapes[0].get(name) != shapes[1].get(name)]


def _shape(tensor: Tensor) -> tuple[torch.dtype, tuple[int, ...]]:
    return tensor.dtype, tuple(tensor.shape)
