"""Where a net computes: the device, the threads, and whose chance it draws from."""

from collections.abc import Generator
from contextlib import contextmanager

import torch

from quant_pipelines.models.failures import DeviceMissing
from quant_pipelines.models.forecaster import Machine


def device_of(machine: Machine) -> torch.device:
    """The device. A GPU that was asked for by name is there, or it is an error."""
    present = torch.cuda.is_available()
    if machine.device == "cuda" and not present:
        raise DeviceMissing("A GPU was asked for, but PyTorch finds none. Set the device to cpu or auto.")
    return torch.device("cuda" if present and machine.device != "cpu" else "cpu")


@contextmanager
def computing(machine: Machine) -> Generator[torch.device]:
    """The device, and as many threads as the machine grants, for as long as this lasts."""
    device, before = device_of(machine), torch.get_num_threads()
    torch.set_num_threads(machine.threads)
    try:
        yield device
    finally:
        torch.set_num_threads(before)


@contextmanager
def chance(seed: int, device: torch.device) -> Generator[None]:
    """Initial weights and dropout draw from a seeded generator; that of the process goes on as if nothing had been."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if on_gpu else []):
        # Not torch.manual_seed: it would seed every GPU, forked or not.
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            torch.cuda.manual_seed(seed)
        yield
