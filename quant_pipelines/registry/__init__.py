"""The model store: versions that nobody can poison, and runs that are watched. MLflow stands behind it."""

from quant_pipelines.registry.cache import CACHED_MODELS, Loaded, ModelCache
from quant_pipelines.registry.life_cycle import TRANSITIONS, State, Transition, state_named
from quant_pipelines.registry.manifest import FileFacts, Manifest, StoredTask, compatible, settings_of
from quant_pipelines.registry.opening import open_models, open_tracker
from quant_pipelines.registry.package import Packed, pack
from quant_pipelines.registry.signing import Key, Keys, open_keys
from quant_pipelines.registry.tracker import Measured, RunState, Status, TrackedRun, Tracker
from quant_pipelines.registry.versions import CANDIDATE, CHAMPION, MAX_VERSIONS, ModelStore, Version

__all__ = [
    "CACHED_MODELS",
    "CANDIDATE",
    "CHAMPION",
    "MAX_VERSIONS",
    "TRANSITIONS",
    "FileFacts",
    "Key",
    "Keys",
    "Loaded",
    "Manifest",
    "Measured",
    "ModelCache",
    "ModelStore",
    "Packed",
    "RunState",
    "State",
    "Status",
    "StoredTask",
    "TrackedRun",
    "Tracker",
    "Transition",
    "Version",
    "compatible",
    "open_keys",
    "open_models",
    "open_tracker",
    "pack",
    "settings_of",
    "state_named",
]
