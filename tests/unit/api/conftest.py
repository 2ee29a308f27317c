"""The API over a journal with a champion, a canary and a shadow, and over MLflow; and who tampers with them."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from quant_pipelines.api.answers import Answers
from quant_pipelines.api.app import make_app, make_server
from quant_pipelines.cli.servers import LOOPBACK, free_port
from quant_pipelines.clock import FixedClock
from quant_pipelines.registry.mlflow.tracker import MlflowRuns
from tests.bars import market
from tests.rollouts import QUICK, Remembered, Rollouts, day, journal_in, observed
from tests.stored import MODEL, place_in
from tests.unit.snapshots.conftest import strategy

TOKEN = "a token that nobody guesses"  # noqa: S105 - of these tests
NOW = FixedClock(datetime(2024, 1, 12, 20, tzinfo=UTC))
MARKET, STRATEGY = MODEL.split(".")
IDLE = "never_trained"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Client:
    """Talks to a server on this machine."""

    port: int

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        with closing(HTTPConnection(LOOPBACK, self.port)) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read().decode())

    def get(self, path: str, **query: str) -> Answer:
        return self.ask("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask("POST", path, json.dumps(body), **headers)


@contextmanager
def listening(answers: Answers, token: str | None) -> Iterator[Client]:
    """The server that `qp api` runs, in a thread."""
    port = free_port()
    server = make_server(make_app(answers, token, every_seconds=0.01), host=LOOPBACK, port=port)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        yield Client(port)
    finally:
        server.should_exit = True
        thread.join()


class Served:
    """An installation, and its API as clients see it."""

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self.folder, self.servers = folder, servers
        self.rollouts = Rollouts(journal_in(folder), Remembered())
        self.journal = self.rollouts.journal
        self.answers = Answers(
            journal=self.journal,
            tracker=cache(lambda: MlflowRuns(place_in(folder), clock=NOW)),
            markets={MARKET: market(name=MARKET)},
            strategies={name: strategy(name=name, market=MARKET) for name in (STRATEGY, IDLE)},
            clock=NOW,
        )
        self.client = self.with_token(TOKEN)

    def with_token(self, token: str | None) -> Client:
        return self.servers.enter_context(listening(self.answers, token))

    def roll_out(self) -> None:
        at_once = QUICK.model_copy(update={"shadow_sessions": 0, "ladder": (100,)})
        self.rollouts.switch.deploy(self.rollouts.candidate("one", policy=at_once), session=day(0))
        champion = self.rollouts.champion()
        for number, training in enumerate(("two", "three"), 1):
            self.rollouts.switch.deploy(self.rollouts.candidate(training, champion=champion), session=day(number))
        self.rollouts.switch.step(MODEL, observed(0.1, 0.1, after=2), QUICK, session=day(4))

    def tamper(self, statement: str) -> None:
        """As somebody who may do anything to the database."""
        with closing(sqlite3.connect(self.folder / "journal.db")) as connection, connection:
            for what in ("update", "delete", "replace"):
                connection.execute(f"DROP TRIGGER IF EXISTS journal_no_{what}")
            connection.execute(statement)


@pytest.fixture
def served(tmp_path):
    with ExitStack() as servers:
        yield Served(tmp_path, servers)


@pytest.fixture
def rolled(served):
    served.roll_out()
    return served
