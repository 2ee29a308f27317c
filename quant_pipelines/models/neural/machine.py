"""Where a net computes: the device, the threads, and whose chance it draws from."""

from collections.abc import Generator
from contextlib import contextmanager

import torch

from quant_pipelines.models.failures import BatchTooLarge, DeviceMissing, OutOfMemory
from quant_pipelines.models.forecaster import Machine

# PyTorch's allocator of the CPU has no error of its own.
_NO_MEMORY = "can't allocate memory"


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


@contextmanager
def memory_of(kind: str) -> Generator[None]:
    """Memory that runs out where no batch is to blame."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _ran_out(error):
            raise
        raise OutOfMemory(
            f"There is not enough memory to train {kind}: {_reason(error)}. Use a smaller net, fewer sessions or "
            "columns, or a larger machine."
        ) from error


@contextmanager
def memory_of_batches(rows: int) -> Generator[None]:
    """Memory that runs out while a net learns from batches of so many rows."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _ran_out(error):
            raise
        raise BatchTooLarge(rows, _reason(error)) from error


def _ran_out(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or _NO_MEMORY in str(error)


def _reason(error: Exception) -> str:
    """Its first sentence: PyTorch begins with its own source code, and ends with advice about its own settings."""
    told = str(error).rpartition("DefaultCPUAllocator: ")[2].strip() or type(error).__name__
    return told.splitlines()[0].split(". ")[0].rstrip(".")
