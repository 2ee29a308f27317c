"""A learner at rest: one safetensors file, taken only where it is exactly what the net asks for.

Quantised, its matrices are whole numbers of 8 bits, with a scale for each row: what one of them is worth there. Biases,
norms and the scale of the target stay as they are.
"""

from collections.abc import Mapping

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


def packed(learner: nn.Module, *, quantised: bool = False) -> Files:
    tensors = {name: each.detach().cpu().contiguous() for name, each in learner.state_dict().items()}
    return {FILE: save(_quantised(tensors) if quantised else tensors)}


def restored(state: Files, learner: nn.Module, *, quantised: bool = False) -> None:
    """Give a learner (on the device `meta`, it has no memory of its own yet) the tensors of a state, or refuse them."""
    found, tensors = _tensors(state), learner.state_dict()
    expected = {name: _shape(each) for name, each in (_quantised(tensors) if quantised else tensors).items()}
    differing = [name for name in sorted(expected.keys() | found.keys()) if not _fits(name, expected, found)]
    if differing:
        told = ", ".join(differing[:_NAMED_AT_MOST])
        raise StateRefused(f"{FILE} is not the state of such a net: {len(differing)} tensors differ, e.g. {told}.")
    damaged = [name for name, each in found.items() if not torch.isfinite(each).all()]
    if damaged:
        raise StateRefused(f"{FILE} holds NaN or infinity in {', '.join(damaged[:_NAMED_AT_MOST])}.")
    learner.load_state_dict(_dequantised(found) if quantised else found, assign=True)


def _quantised(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = dict(tensors)
    for name, each in tensors.items():
        if each.dim() > 1:
            scale = each.abs().amax(tuple(range(1, each.dim())), keepdim=True) / _LARGEST
            steps = each / torch.where(scale > 0, scale, 1)
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


def _shape(tensor: Tensor) -> tuple[torch.dtype, tuple[int, ...]]:
    return tensor.dtype, tuple(tensor.shape)


def _fits(name: str, expected: dict[str, tuple[torch.dtype, tuple[int, ...]]], found: dict[str, Tensor]) -> bool:
    return name in expected and name in found and _shape(found[name]) == expected[name]
