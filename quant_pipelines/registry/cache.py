"""Models that were loaded lately: at most so many, the one that was not used for the longest goes first (S0-17)."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from quant_pipelines.models import Forecaster
from quant_pipelines.registry.manifest import Manifest
from quant_pipelines.registry.versions import ModelStore, Version

CACHED_MODELS = 10


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Loaded:
    """A version as the store has it now, with the manifest and the model that were verified when they were loaded."""

    version: Version
    manifest: Manifest
    model: Forecaster


class ModelCache:
    """Loaded models by what they are. An alias is looked up every time, so a promotion is seen at once."""

    def __init__(self, store: ModelStore, *, capacity: int = CACHED_MODELS) -> None:
        if capacity < 1:
            raise ValueError(f"A cache holds 1 model or more, not {capacity}.")
        self._store = store
        self._capacity = capacity
        self._loaded: OrderedDict[str, tuple[Manifest, Forecaster]] = OrderedDict()
        self._loading: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._loaded)

    def load(self, name: str, which: int | str) -> Loaded:
        """The model of a version or an alias. Several who ask for one at once wait for one loading."""
        version = self._store.version(name, which)
        key = f"{version.name} {version.id}"
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:
            try:
                found = self._found(key)
                if found is None:
                    packed = self._store.load(version.model, version.number)
                    found = packed.manifest, packed.model()
                    self._keep(key, found)
            finally:
                with self._lock:
                    self._loading.pop(key, None)
        return Loaded(version=version, manifest=found[0], model=found[1])

    def _found(self, key: str) -> tuple[Manifest, Forecaster] | None:
        with self._lock:
            if key in self._loaded:
                self._loaded.move_to_end(key)
            return self._loaded.get(key)

    def _keep(self, key: str, loaded: tuple[Manifest, Forecaster]) -> None:
        with self._lock:
            self._loaded[key] = loaded
            while len(self._loaded) > self._capacity:
                self._loaded.popitem(last=False)
