"""What a training's bits depend on beside its order: the code, the libraries, the processor and its threads."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

from quant_pipelines.registry import Manifest

# The names of facts in a manifest.
PROCESSOR, THREADS, DEVICE = "processor", "threads", "device"
# Whose versions can change a result: written down with every model.
_LIBRARIES = ("numpy", "torch", "lightgbm", "xgboost", "xgboost-cpu", "scikit-learn", "safetensors", "pyqlib")
_CPU = "cpu"
_UNKNOWN, _DIRTY = "unknown", "-dirty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a training runs or ran. None stands for what nobody wrote down."""

    code_version: str
    libraries: Mapping[str, str]
    processor: str | None

    def differences(self, recorded: "Surroundings") -> list[str]:
        """Why equal orders may give other bits here, in words; empty where they may not."""
        told: list[str] = []
        if self.code_version != recorded.code_version:
            told.append(f"the code is {self.code_version}, recorded was {recorded.code_version}")
        elif recorded.code_version == _UNKNOWN or recorded.code_version.endswith(_DIRTY):
            told.append(f"code {recorded.code_version} is no commit, so nobody knows whether it is the same")
        for name in sorted({*self.libraries, *recorded.libraries}):
            found, then = (each.libraries.get(name, "not there") for each in (self, recorded))
            if found != then:
                told.append(f"{name} is {found}, recorded was {then}")
        if recorded.processor is None:
            told.append("the processor was not recorded")
        elif self.processor != recorded.processor:
            told.append(f"the processor is {self.processor}, recorded was {recorded.processor}")
        return told


def surroundings(code_version: str) -> Surroundings:
    """Those of this process."""
    return Surroundings(code_version=code_version, libraries=libraries(), processor=processor())


def surroundings_of(manifest: Manifest) -> Surroundings:
    """Those in which a version was trained. Another device than the processor is named in its place."""
    device, found = manifest.facts.get(DEVICE), manifest.facts.get(PROCESSOR)
    known = found if isinstance(found, str) else None
    return Surroundings(
        code_version=manifest.code_version,
        libraries=manifest.libraries,
        processor=known if device in (None, _CPU) else f"{known} with {device}",
    )


def libraries() -> dict[str, str]:
    """The installed versions of what learns and computes."""
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = installed_version(name)
        except PackageNotFoundError:
            continue  # one of the two names of XGBoost
    return found


@cache
def processor() -> str:
    """The processor's kind and model, as far as the system tells."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{platform.machine()} {models[0] if models else platform.processor()}".strip()
