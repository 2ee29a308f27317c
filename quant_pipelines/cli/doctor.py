"""`qp doctor`: is this machine, are the stores and the sources fit, and if not, what to do (S4-12)."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

import typer
from rich.table import Table

from quant_pipelines.calendars import session_key
from quant_pipelines.cli.project import all_markets, console, open_lake
from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.lake.tables import PRICES, RAW_BARS
from quant_pipelines.settings import Settings
from quant_pipelines.sources import Reach, check_connectivity, open_source

ENOUGH_DISK_GB = 2.0
_FITTING_PYTHON = ((3, 11), (3, 13))


@dataclass(frozen=True, slots=True)
class Examined:
    """One thing that was looked at. `fit` is None where there is nothing to judge."""

    what: str
    fit: bool | None
    found: str


def doctor() -> None:
    """Check the machine, the stores and the sources, and say what to do."""
    settings = Settings()
    shown = Table("what", "", "found")
    sick = 0
    for examined in examine(settings):
        sick += examined.fit is False
        mark = {True: "[green]ok[/]", False: "[bold red]bad[/]", None: "[yellow]--[/]"}[examined.fit]
        shown.add_row(examined.what, mark, examined.found)
    console.print(shown)
    if sick:
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Examined]:
    """Every examination, each on its own: one failure hides no other."""
    looks: list[tuple[str, Callable[[], Iterator[Examined]]]] = [
        ("python", _python),
        ("packages", _packages),
        ("disk", lambda: _disk(settings)),
        ("home", lambda: _writable(settings)),
        ("database", lambda: _database(settings)),
        ("markets.yaml", lambda: _markets(settings)),
    ]
    for what, look in looks:
        try:
            yield from look()
        except QuantPipelinesError as error:
            yield Examined(what, False, str(error))


def _python() -> Iterator[Examined]:
    lowest, beyond = _FITTING_PYTHON
    fit = lowest <= sys.version_info[:2] < beyond
    yield Examined("python", fit, sys.version.split()[0] if fit else f"{sys.version.split()[0]}; use 3.11 or 3.12")


def _packages() -> Iterator[Examined]:
    versions = {name: metadata.version(name) for name in ("dagster", "deltalake", "pyarrow", "sqlalchemy", "mlflow")}
    fit = versions["sqlalchemy"].startswith("2.0.")
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield Examined("packages", fit, found if fit else f"{found}; SQLAlchemy must be 2.0.x, install requirements.lock")


def _disk(settings: Settings) -> Iterator[Examined]:
    existing = next(folder for folder in (settings.home_path, *settings.home_path.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 1e9
    fit = free >= ENOUGH_DISK_GB
    yield Examined(
        "disk", fit, f"{free:.1f} GB free at {existing}" + ("" if fit else f"; make {ENOUGH_DISK_GB:.0f} GB free")
    )


def _writable(settings: Settings) -> Iterator[Examined]:
    try:
        settings.home_path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.home_path):
            pass
    except OSError as error:
        yield Examined("home", False, f"{settings.home_path}: {error.strerror}; set QP_HOME to a folder you may write")
        return
    yield Examined("home", True, str(settings.home_path))


def _database(settings: Settings) -> Iterator[Examined]:
    url = settings.postgres_url
    if url is None:
        yield Examined("database", True, f"SQLite in {settings.home_path / 'dagster'}")
        return
    import sqlalchemy
    from sqlalchemy.exc import OperationalError

    engine = sqlalchemy.create_engine(url, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            version = connection.execute(sqlalchemy.text("show server_version")).scalar_one()
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        yield Examined("database", False, f"{engine.url!r}: {reason}; start PostgreSQL or correct QP_DATABASE_URL")
        return
    finally:
        engine.dispose()
    yield Examined("database", True, f"PostgreSQL {version} at {engine.url!r}")


def _markets(settings: Settings) -> Iterator[Examined]:
    lake = open_lake(settings)
    for market in all_markets(settings).values():
        found = check_connectivity(open_source(market, SystemClock()))
        # A source that is not there yet is no sickness of the machine: it is shown, with what to do.
        yield Examined(f"source of {market.name}", True if found.reach is Reach.OK else None, found.reason)
        for schema in (RAW_BARS, PRICES):
            known = lake.table(market.name, schema).session_ids()
            found = f"{len(known)} sessions to {session_key(max(known))}" if known else "empty"
            yield Examined(f"{market.name}/{schema.name}", True if known else None, found)
