"""A learner at rest: one safetensors file, taken only where it is exactly what the net asks for."""

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from quant_pipelines.models.failures import StateRefused
from quant_pipelines.models.forecaster import Files

FILE = "weights.safetensors"
_NAMED_AT_MOST = 3


def packed(learner: nn.Module) -> Files:
    return {FILE: save({name: each.detach().cpu().contiguous() for name, each in learner.state_dict().items()})}


def restored(state: Files, learner: nn.Module) -> None:
    """Give a learner without memory (on the device `meta`) the tensors of a state, or refuse them."""
    found = _tensors(state)
    expected = {name: _shape(each) for name, each in learner.state_dict().items()}
    differing = [name for name in sorted(expected.keys() | found.keys()) if not _fits(name, expected, found)]
    if differing:
        told = ", ".join(differing[:_NAMED_AT_MOST])
        raise StateRefused(f"{FILE} is not the state of such a net: {len(differing)} tensors differ, e.g. {told}.")
    damaged = [name for name, each in found.items() if not torch.isfinite(each).all()]
    if damaged:
        raise StateRefused(f"{FILE} holds NaN or infinity in {', '.join(damaged[:_NAMED_AT_MOST])}.")
    learner.load_state_dict(found, assign=True)


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
