"""The model store on MLflow's registry.

A version becomes visible by one insert, after all its files are there. Two who save the same training at once both
insert; the lower number counts, and the higher one is never shown and taken away.
"""

import json
import tempfile
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quant_pipelines.clock import Clock
from quant_pipelines.registry.failures import HashMismatch, TagRefused, UnknownVersion, VersionRefused
from quant_pipelines.registry.flavour import DATA, MLMODEL, mlmodel_of
from quant_pipelines.registry.life_cycle import State, Transition, require_legal
from quant_pipelines.registry.mlflow.client import Mlflow
from quant_pipelines.registry.mlflow.place import Place, alone
from quant_pipelines.registry.package import (
    Packed,
    read_folder,
    require_is,
    require_sizes,
    stored_form,
    verified,
)
from quant_pipelines.registry.signing import Keys
from quant_pipelines.registry.versions import MAX_VERSIONS, Version, leaving, matches

# Told the name of every step of a save. Tests end the process there; nobody else listens.
Trace = Callable[[str], None]

_OURS = "qp."
_ID, _TRAINING, _HISTORY, _STATE, _MODEL = "qp.id", "qp.training_id", "qp.history", "qp.state", "qp.model"
_DAMAGED = "qp.damaged"
_TAKEN = ("mlflow.", _OURS)
_FOLDER_DIGITS = 16
_NAMED = 5


def _ignore(point: str) -> None:
    del point


class MlflowModels:
    """Versions in MLflow's registry, their files among the artifacts of the run that trained them."""

    def __init__(self, place: Place, keys: Keys, *, clock: Clock, trace: Trace = _ignore) -> None:
        self._mlflow = Mlflow(place)
        self._keys = keys
        self._clock = clock
        self._trace = trace

    def save(self, packed: Packed, run_id: str, *, actor: str) -> Version:
        """Store what a run has trained, unless this training is stored already and can be loaded."""
        manifest = packed.manifest
        there = self._usable(manifest.model, manifest.training_id)
        if there is None:
            self._ensure_model(manifest.model)
            uri = self._write(packed, run_id)
            self._insert(packed, run_id, uri, actor)
            self._trace("inserted")
            there = self.with_training(manifest.model, manifest.training_id)
            if there is None:
                raise UnknownVersion(f"{manifest.model} was stored and is gone: somebody deleted it. Save it again.")
        self._sweep(there)
        self._trace("swept")
        return there

    def load(self, model: str, which: int | str) -> Packed:
        return self._load(self.version(model, which))

    def version(self, model: str, which: int | str) -> Version:
        found = self.versions(model)
        for each in found:
            if (each.number == which) if isinstance(which, int) else (which in each.aliases):
                return each
        names = [alias for each in found for alias in each.aliases] + [str(each.number) for each in found[-_NAMED:]]
        raise UnknownVersion(
            f"{model} has no version {which!r}. It has {', '.join(names) or 'none'}. See `qp models list`."
        )

    def with_training(self, model: str, training_id: str) -> Version | None:
        return next((each for each in self.versions(model) if _trained(each, training_id)), None)

    def models(self) -> list[str]:
        found = self._mlflow.all(self._mlflow.client.search_registered_models)
        return sorted(each.name for each in found if _MODEL in each.tags)

    def versions(self, model: str) -> list[Version]:
        seen: set[str] = set()
        shown: list[Version] = []
        for each in self._stored(model):
            if _DAMAGED not in each.tags:
                if each.training_id in seen:
                    continue
                seen.add(each.training_id)
            shown.append(each)
        return shown

    def search(self, text: str = "", tags: Mapping[str, str] | None = None) -> list[Version]:
        return [each for model in self.models() for each in self.versions(model) if matches(each, text, tags or {})]

    def set_tag(self, model: str, number: int, key: str, value: str) -> None:
        if not key or key.startswith(_TAKEN):
            raise TagRefused(f"A tag of yours cannot be called {key!r}. {' and '.join(_TAKEN)} begin other names.")
        self.version(model, number)
        self._tag(model, number, {key: value})

    def move(self, model: str, number: int, state: State, *, actor: str, reason: str = "") -> Version:
        with alone(self._mlflow.place):
            found = self.version(model, number)
            require_legal(found.state, state)
            taken = Transition(state=state, at=self._clock.now(), actor=actor, reason=reason)
            # The history decides; the state beside it is for MLflow's own search.
            self._tag(model, number, {_HISTORY: _written((*found.history, taken)), _STATE: state})
            return self.version(model, number)

    def alias(self, model: str, name: str, number: int | None) -> None:
        with self._mlflow.in_our_words():
            if number is None:
                self._mlflow.client.delete_registered_model_alias(model, name)
                return
            self.version(model, number)
            self._mlflow.client.set_registered_model_alias(model, name, str(number))

    def trim(self, model: str, *, keep: int = MAX_VERSIONS, cited: Collection[str] = ()) -> list[Version]:
        with alone(self._mlflow.place):
            shown = self.versions(model)
            going = leaving(shown, keep=keep, cited=cited)
            # What was never shown goes first: it would show up once the version before it is gone.
            for each in [each for each in self._stored(model) if each not in shown] + going:
                self._forget(each)
            return going

    def _write(self, packed: Packed, run_id: str) -> str:
        """Put every file where the run's artifacts are; the manifest comes last."""
        with self._mlflow.in_our_words():
            run = self._mlflow.client.get_run(run_id)
            for key, value in _run_tags(packed).items():
                self._mlflow.client.set_tag(run_id, key, value)
        uri, folder = str(run.info.artifact_uri), f"model-{packed.manifest.digest[:_FOLDER_DIGITS]}"
        self._mlflow.put(uri, f"{folder}/{MLMODEL}", mlmodel_of(packed.manifest))
        for name, data in stored_form(packed, self._keys).items():
            self._trace(f"before {name}")
            self._mlflow.put(uri, f"{folder}/{DATA}/{name}", data)
        self._trace("written")
        return f"{uri}/{folder}"

    def _insert(self, packed: Packed, run_id: str, uri: str, actor: str) -> None:
        now = self._clock.now()
        steps = [Transition(state=state, at=now, actor=actor) for state in (State.CREATED, State.TRAINING)]
        tags = {
            _ID: packed.manifest.digest,
            _TRAINING: packed.manifest.training_id,
            _HISTORY: _written(tuple(steps)),
            _STATE: steps[-1].state,
        }
        with self._mlflow.in_our_words():
            self._mlflow.client.create_model_version(
                packed.manifest.model, uri, run_id, tags=tags, await_creation_for=0
            )

    def _usable(self, model: str, training_id: str) -> Version | None:
        """The version of this training. A damaged one is marked so, and makes room for the same training again."""
        found = self.with_training(model, training_id)
        if found is None:
            return None
        try:
            self._load(found)
        except VersionRefused as error:
            self._tag(model, found.number, {_DAMAGED: error.code})
            return None
        return found

    def _load(self, version: Version) -> Packed:
        with self._fetched(version.uri) as folder:
            packed = verified(read_folder(folder / DATA), self._keys)
            require_is(packed.manifest, model=version.model, digest=version.id)
            described = folder / MLMODEL
            if described.is_symlink() or described.read_bytes() != mlmodel_of(packed.manifest):
                raise HashMismatch(
                    f"{MLMODEL} of {version.name} is not what was written; whoever serves it with stock MLflow would "
                    "run what it says. Restore it from a backup, or train the version again."
                )
        return packed

    @contextmanager
    def _fetched(self, uri: str) -> Generator[Path]:
        """The folder of a version here: where it lies, or what was fetched after a look at the sizes."""
        artifacts = self._mlflow.artifacts(uri)
        local = getattr(artifacts, "artifact_dir", None)
        if local is not None:
            yield Path(local)
            return
        require_sizes(self._mlflow.sizes(uri, DATA))
        with tempfile.TemporaryDirectory() as scratch:
            with self._mlflow.in_our_words():
                for path in (DATA, MLMODEL):
                    artifacts.download_artifacts(path, scratch)
            yield Path(scratch)

    def _stored(self, model: str) -> list[Version]:
        """Every version of ours, the oldest first; duplicates and damaged ones too."""
        entry = self._mlflow.found(lambda: self._mlflow.client.get_registered_model(model))
        if entry is None:
            return []
        chosen = f"name='{model}'"
        found = self._mlflow.all(self._mlflow.client.search_model_versions, filter_string=chosen)
        ours = [_version(each, entry.aliases) for each in found if _ID in each.tags]
        return sorted(ours, key=lambda each: each.number)

    def _sweep(self, kept: Version) -> None:
        """Take away what others have left of this training: later versions, and files that no version has."""
        stored = self._stored(kept.model)
        for each in stored:
            if _trained(each, kept.training_id) and each.number > kept.number:
                self._forget(each)
        used = {each.uri for each in stored if _DAMAGED in each.tags} | {kept.uri}
        for run in self._runs(kept.model, kept.training_id):
            for entry in self._listed(run.info.artifact_uri):
                if f"{run.info.artifact_uri}/{entry}" not in used:
                    self._delete(run.info.artifact_uri, entry)

    def _runs(self, model: str, training_id: str) -> list[Any]:
        """The runs that have begun to store this training."""
        with self._mlflow.in_our_words():
            experiments = [each.experiment_id for each in self._mlflow.client.search_experiments()]
        chosen = f"tags.`{_TRAINING}` = '{training_id}' and tags.`{_MODEL}` = '{model}'"
        ask = self._mlflow.client.search_runs
        return self._mlflow.all(ask, experiment_ids=experiments, filter_string=chosen)

    def _listed(self, uri: str) -> list[str]:
        return [name for name in self._mlflow.sizes(uri, "") if name.startswith("model-")]

    def _forget(self, version: Version) -> None:
        """The entry first: what is still listed can be loaded."""
        number = str(version.number)
        self._mlflow.found(lambda: self._mlflow.client.delete_model_version(version.model, number))
        run, _, folder = version.uri.rpartition("/")
        if all(each.uri != version.uri for each in self._stored(version.model)):
            self._delete(run, folder)

    def _delete(self, uri: str, path: str) -> None:
        """Until it is gone: two who delete the same folder take files from under each other."""
        while path in self._listed(uri):
            with self._mlflow.in_our_words(), suppress(FileNotFoundError):
                self._mlflow.artifacts(uri).delete_artifacts(path)

    def _ensure_model(self, model: str) -> None:
        if self._mlflow.found(lambda: self._mlflow.client.get_registered_model(model)) is None:
            self._mlflow.made(lambda: self._mlflow.client.create_registered_model(model, tags={_MODEL: model}))

    def _tag(self, model: str, number: int, tags: Mapping[str, str]) -> None:
        with self._mlflow.in_our_words():
            for key, value in tags.items():
                self._mlflow.client.set_model_version_tag(model, str(number), key, value)


def _trained(version: Version, training_id: str) -> bool:
    return version.training_id == training_id and _DAMAGED not in version.tags


def _run_tags(packed: Packed) -> dict[str, str]:
    return {_TRAINING: packed.manifest.training_id, _MODEL: packed.manifest.model}


def _version(found: Any, aliases: Mapping[str, str]) -> Version:
    number = int(found.version)
    tags = {key: value for key, value in found.tags.items() if not key.startswith(_OURS) or key == _DAMAGED}
    return Version(
        model=found.name,
        number=number,
        id=found.tags[_ID],
        training_id=found.tags[_TRAINING],
        run_id=found.run_id or "",
        uri=found.source,
        created_at=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        history=_read(found.tags[_HISTORY]),
        aliases=tuple(sorted(alias for alias, where in aliases.items() if int(where) == number)),
        tags=tags,
    )


def _written(history: tuple[Transition, ...]) -> str:
    steps = [
        {"state": each.state, "at": each.at.isoformat(), "actor": each.actor, "reason": each.reason} for each in history
    ]
    return json.dumps(steps)


def _read(text: str) -> tuple[Transition, ...]:
    return tuple(
        Transition(
            state=State(each["state"]),
            at=datetime.fromisoformat(each["at"]),
            actor=each["actor"],
            reason=each["reason"],
        )
        for each in json.loads(text)
    )
