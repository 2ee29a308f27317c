"""`qp models`: what is stored or on its way, whether it is what was written, and how to find it again."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape
from rich.status import Status
from rich.table import Column, Table

from quant_pipelines.cli.project import console
from quant_pipelines.cli.reproduction import retrainer_of, show_checks
from quant_pipelines.cli.training_progress import progress
from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import OperatorActionRequired, StoreDamaged
from quant_pipelines.journal import open_journal
from quant_pipelines.registry import Manifest, ModelStore, Version, open_models
from quant_pipelines.registry.failures import UnknownVersion, VersionRefused
from quant_pipelines.reproduction import record_replay
from quant_pipelines.reproduction import replay as replay_version
from quant_pipelines.settings import Settings

models = typer.Typer(
    no_args_is_help=True, help="List, verify, find, tag and replay the stored models; see how far a training is."
)
models.command()(progress)

_SHOWN_DIGITS = 12
_COLUMNS_SHOWN = 10
Model = Annotated[str, typer.Argument(help="A model: market.strategy, e.g. demo.demo_lightgbm.")]
Which = Annotated[str, typer.Argument(help="A version's number, or an alias such as champion.")]


class BadTag(OperatorActionRequired):
    """A tag that is not written as name=value."""

    code = "QP174"


class VersionsDamaged(StoreDamaged):
    """Some stored versions are not what was written."""

    code = "QP572"


class NotReplayed(OperatorActionRequired):
    """A version that does not come out a second time."""

    code = "QP144"


@models.command(name="list")
def list_all(model: Annotated[str | None, typer.Argument(help="Only this model.")] = None) -> None:
    """Every stored version, the newest of a model last."""
    store = _open()
    chosen = store.models() if model is None else [model]
    _show([version for name in chosen for version in store.versions(name)])


@models.command()
def search(
    text: Annotated[str, typer.Argument(help="A part of a name, state, training, run, alias or tag.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="Only versions with this tag, as name=value.")] = None,
) -> None:
    """Versions of any model that hold the text and have the tags."""
    _show(_open().search(text, dict(_pair(each) for each in tag or [])))


@models.command()
def show(model: Model, which: Which) -> None:
    """What a version is, what it was made of, and what has happened to it. It is verified first."""
    store = _open()
    version = store.version(model, _number_or_alias(which))
    manifest = store.load(version.model, version.number).manifest
    facts = Table("what", "value", title=f"{version.name}, every byte is what was written", title_justify="left")
    for name, value in _facts(version, manifest):
        facts.add_row(name, escape(value))
    console.print(facts)
    history = Table("when (UTC)", "state", "who", "why", title="Its life", title_justify="left")
    for each in version.history:
        history.add_row(f"{each.at:%Y-%m-%d %H:%M:%S}", each.state, escape(each.actor), escape(each.reason))
    console.print(history)


@models.command()
def verify(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    which: Annotated[str | None, typer.Argument(help="Only this version.")] = None,
) -> None:
    """Check the signature and every byte of stored versions. Nothing is loaded."""
    store = _open()
    damaged = 0
    chosen = _chosen(store, model, which)
    for version in chosen:
        try:
            store.load(version.model, version.number)
        except VersionRefused as error:
            damaged += 1
            console.print(f"[red]{version.name}[/] {error.code} {escape(str(error))}")
    if damaged:
        raise VersionsDamaged(
            f"{damaged} of {len(chosen)} versions are not what was written; they are named above and never loaded. "
            "Restore them from a backup, or train them again."
        )
    console.print(f"{len(chosen)} versions: every byte is what was written.")


@models.command(name="tag")
def set_tag(model: Model, which: Which, tag: Annotated[str, typer.Argument(help="The tag, as name=value.")]) -> None:
    """Put a tag on a version; one of the same name is replaced."""
    store = _open()
    version = store.version(model, _number_or_alias(which))
    name, value = _pair(tag)
    store.set_tag(version.model, version.number, name, value)
    console.print(f"{version.name} has the tag {name}={value}.", markup=False)


@models.command()
def replay(
    model: Model,
    actor: Annotated[str, typer.Option(help="Who wants to know; the replay goes on record.")],
    which: Annotated[
        str | None, typer.Argument(help="A version's number, or an alias such as champion; default: the newest.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="By which share of itself a number may differ. Default: 0 where code, libraries and processor are "
            "those that were recorded, else 1e-6.",
            min=0,
        ),
    ] = None,
) -> None:
    """Train a stored version again from its manifest, and compare its measures with those of its report."""
    settings = Settings()
    with Status("opening the stores", console=console) as status:
        retrainer = retrainer_of(settings, tolerance, lambda what: status.update(escape(what)))
        store = _open()
        found = replay_version(store, retrainer, _newest(store, model) if which is None else _one(store, model, which))
    row = record_replay(open_journal(settings, clock=SystemClock()), found, actor=actor)
    show_checks(f"{found.version}, {found.version_id[:_SHOWN_DIGITS]}, trained again", found.checks, each=True)
    for what in found.differences:
        console.print(f"[yellow]Not as it was:[/] {escape(what)}.")
    asked = f"with a tolerance of {found.tolerance:g}, on record in row {row.sequence}"
    if found.outcome != "same":
        failed = [each.name for each in found.checks if each.outcome == "different"]
        raise NotReplayed(f"{found.version} does not come out again, {asked}: {', '.join(failed)} differ.")
    console.print(f"{found.version} comes out again, {asked}.", markup=False)


def _open() -> ModelStore:
    return open_models(Settings(), clock=SystemClock())


def _chosen(store: ModelStore, model: str | None, which: str | None) -> list[Version]:
    if model is not None and which is not None:
        return [_one(store, model, which)]
    names = store.models() if model is None else [model]
    return [version for name in names for version in store.versions(name)]


def _one(store: ModelStore, model: str, which: str) -> Version:
    return store.version(model, _number_or_alias(which))


def _newest(store: ModelStore, model: str) -> Version:
    found = store.versions(model)
    if not found:
        raise UnknownVersion(f"{model} has no stored version. `qp models list` shows what there is.")
    return found[-1]


def _number_or_alias(which: str) -> int | str:
    return int(which) if which.isdecimal() else which


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise BadTag(f"{text!r} is no tag. Write name=value, e.g. reviewed=yes.")
    return name, value


def _show(versions: Sequence[Version]) -> None:
    if not versions:
        console.print("No such version is stored yet.")
        return
    shown = Table(
        Column("version", no_wrap=True), "state", "aliases", "stored (UTC)", "training", Column("id", no_wrap=True),
        "tags",
    )  # fmt: skip
    for each in versions:
        shown.add_row(
            each.name, each.state, ", ".join(each.aliases), f"{each.created_at:%Y-%m-%d %H:%M:%S}",
            each.training_id[:_SHOWN_DIGITS], each.id[:_SHOWN_DIGITS],
            escape(", ".join(f"{key}={value}" for key, value in each.tags.items())),
        )  # fmt: skip
    console.print(shown)


def _facts(version: Version, manifest: Manifest) -> list[tuple[str, str]]:
    columns = ", ".join(manifest.columns[:_COLUMNS_SHOWN])
    more = len(manifest.columns) - _COLUMNS_SHOWN
    return [
        ("state", version.state),
        ("aliases", ", ".join(version.aliases)),
        ("id", version.id),
        ("training", manifest.training_id),
        ("snapshot", manifest.snapshot_id),
        ("run", version.run_id),
        ("kind", manifest.kind),
        ("parameters", ", ".join(f"{name}={value}" for name, value in manifest.parameters.items())),
        ("forecasts", f"{manifest.task.outputs} {manifest.task.kind}, label set {manifest.label_set}"),
        ("sessions seen", str(manifest.length)),
        ("columns", f"{len(manifest.columns)}: {columns}" + (f" and {more} more" if more > 0 else "")),
        ("metrics", ", ".join(f"{name}={value:.6g}" for name, value in manifest.metrics.items())),
        ("code", manifest.code_version),
        ("seed", str(manifest.seed)),
        ("libraries", ", ".join(f"{name} {value}" for name, value in manifest.libraries.items())),
        ("files", ", ".join(f"{name} ({facts.bytes} bytes)" for name, facts in manifest.files.items())),
        ("tags", ", ".join(f"{name}={value}" for name, value in version.tags.items())),
        ("where", version.uri),
    ]
