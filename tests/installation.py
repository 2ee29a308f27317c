"""A whole installation for tests that need one: servers, markets and a home of its own."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from quant_pipelines.cli.dagster_api import DagsterApi
from quant_pipelines.cli.servers import Server, dagster_servers, free_port, running
from quant_pipelines.settings import Settings

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Installation:
    """Where it runs."""

    settings: Settings
    api: DagsterApi


@contextmanager
def installed(home: Path, markets: str, environment: Mapping[str, str] | None = None) -> Iterator[Installation]:
    """Point the settings at a home of their own; nothing runs yet."""
    (home / "markets.yaml").write_text(markets, encoding="utf-8")
    values = {
        "QP_PROJECT": str(PROJECT),
        "QP_HOME": str(home / "var"),
        "QP_MARKETS_FILE": str(home / "markets.yaml"),
        "QP_DAGSTER_PORT": str(free_port()),
        "QP_MLFLOW_PORT": str(free_port()),
        "DAGSTER_HOME": str(PROJECT),
        **(environment or {}),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("QP_DATABASE_URL", raising=False)
        for name, value in values.items():
            patch.setenv(name, value)
        settings = Settings()
        yield Installation(settings, DagsterApi(settings.dagster_address))


@contextmanager
def serving(installation: Installation, others: Sequence[Server] = ()) -> Iterator[Installation]:
    """The Dagster UI and its daemon, up and answering, and what else is wanted beside them."""
    with running([*dagster_servers(installation.settings), *others], installation.settings, tell=print):
        yield installation


def synthetic_market(*, first_session: str, symbols: int, name: str = "demo") -> str:
    """A markets.yaml with one synthetic market."""
    return f"""
markets:
  {name}:
    description: A synthetic market for tests.
    calendar: XSHG
    currency: CNY
    first_session: {first_session}
    source: {{kind: synthetic, seed: 7, symbols: {symbols}, sectors: 4}}
    missing_bar: suspended
    rules: a_share
"""


def require(binary: str) -> str:
    """The path of a program, or a skip with the reason."""
    found = shutil.which(binary)
    if found is None:
        pytest.skip(f"{binary} is not installed")
    return found
