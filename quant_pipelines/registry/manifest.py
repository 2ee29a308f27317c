"""What a stored version says about itself: one canonical JSON text, which is what is signed."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from quant_pipelines.digest import digest_bytes
from quant_pipelines.models import ModelSettings, Task
from quant_pipelines.registry.failures import ManifestRefused

FORMAT = 1
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1, max_length=500)]
# What becomes a registered model of MLflow, and a part of its addresses.
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,198}$")]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class StoredTask(_Value):
    """What the model forecasts."""

    kind: Literal["numbers", "classes"]
    outputs: Annotated[int, Field(ge=1)]


class FileFacts(_Value):
    """What a file is known by."""

    sha256: Digest
    bytes: Annotated[int, Field(ge=0)]


class Manifest(_Value):
    """One trained model: what it is, what it was made of and by, and every file of it."""

    format: Literal[1] = FORMAT
    model: ModelName
    kind: Text
    parameters: dict[str, bool | int | float | str]
    task: StoredTask
    columns: Annotated[tuple[Text, ...], Field(min_length=1, strict=False)]
    length: Annotated[int, Field(ge=1)] = 1
    feature_versions: dict[str, str] = {}
    label_set: Text
    snapshot_id: Text
    training_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$")]
    code_version: Text
    seed: int
    libraries: dict[str, str] = {}
    metrics: dict[str, float] = {}
    created_at: Annotated[datetime, Field(strict=False)]
    facts: dict[str, JsonValue] = {}
    files: dict[str, FileFacts] = {}

    def canonical(self) -> bytes:
        """The one text of this manifest."""
        value = self.model_dump(mode="json")
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()

    @property
    def digest(self) -> str:
        """The name of the version by its content: every file's digest is in it."""
        return digest_bytes(self.canonical())

    @classmethod
    def read(cls, text: bytes) -> "Manifest":
        """The manifest of a text whose signature was checked."""
        try:
            found = cls.model_validate(json.loads(text))
        except (ValidationError, ValueError, RecursionError) as error:
            raise ManifestRefused(
                f"The manifest cannot be read: {_first(error)}. It was written by other code; use that, or train again."
            ) from error
        if found.canonical() != text:
            raise ManifestRefused("The manifest is not in its canonical form, so no code of ours has written it.")
        return found


def settings_of(manifest: Manifest) -> ModelSettings:
    """What the kind needs to make the model again."""
    return ModelSettings(
        kind=manifest.kind,
        parameters=manifest.parameters,
        task=Task(kind=manifest.task.kind, outputs=manifest.task.outputs),
        columns=manifest.columns,
        length=manifest.length,
    )


def compatible(
    manifest: Manifest,
    *,
    columns: tuple[str, ...],
    feature_versions: Mapping[str, str],
    length: int | None = None,
    label_set: str | None = None,
) -> list[str]:
    """What keeps the model from reading data of this schema, in words; empty where nothing does (S2-52)."""
    told = _columns_told(manifest.columns, columns)
    for name, version in manifest.feature_versions.items():
        found = feature_versions.get(name)
        if found is not None and found != version:
            told.append(f"{name} is version {found} in the data, the model learned version {version}")
    if length is not None and length != manifest.length:
        told.append(f"the data has {length} sessions a row, the model sees {manifest.length}")
    if label_set is not None and label_set != manifest.label_set:
        told.append(f"the data has label set {label_set}, the model learned {manifest.label_set}")
    return told


def _columns_told(learned: tuple[str, ...], found: tuple[str, ...]) -> list[str]:
    missing = [name for name in learned if name not in found]
    added = [name for name in found if name not in learned]
    told = [f"the data lacks {name}" for name in missing]
    told += [f"the model does not know {name}" for name in added]
    if not told and learned != found:
        told = ["the columns stand in another order"]
    return told


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        found: Any = error.errors()[0]
        return f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
