"""What lineage is made of: nodes, and the sessions of tables that they read and write."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from quant_pipelines.calendars import Session
from quant_pipelines.digest import digest_json
from quant_pipelines.journal.entries import require_json, require_text
from quant_pipelines.lineage.failures import LineageRefused


class NodeKind(StrEnum):
    """What a node is."""

    TABLE_VERSION = "table_version"
    SNAPSHOT = "snapshot"
    MODEL = "model"
    EXPLANATION = "explanation"
    DECISION = "decision"
    PREDICTIONS = "predictions"


@dataclass(frozen=True, slots=True, order=True)
class Content:
    """One session's content in one table: as close to the bytes as lineage goes."""

    market: str
    table: str
    session: Session
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a table held in some sessions: a content id for each of them.

    A session of the calendar without rows belongs in it too, as EMPTY_SESSION: a reach counts sessions.
    """

    market: str
    table: str
    ids: Mapping[Session, str]

    def __post_init__(self) -> None:
        if not self.ids:
            raise LineageRefused(f"No session of {self.market}/{self.table} is named. Name those that were used.")
        if any(session.tzinfo is not None for session in self.ids):
            raise LineageRefused(f"Session labels of {self.market}/{self.table} have no time zone. Leave it away.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How many sessions before and after its own one an output session depends on; back None: all before."""

    back: int | None = 0
    ahead: int = 0

    def __post_init__(self) -> None:
        if (self.back or 0) < 0 or self.ahead < 0:
            raise LineageRefused(f"A reach counts sessions, so neither end is negative: {self}.")


OWN_SESSION = Reach()


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Sessions that a node used.

    Where the node writes sessions, `reach` says which of these each one is made of, and `across_symbols` whether one
    symbol's row is made of other symbols' rows (a rank). A node that writes none uses them all.
    """

    contents: Contents
    reach: Reach = OWN_SESSION
    across_symbols: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Parent:
    """A node that another one was made from, and as what."""

    id: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Something with a content id: what it was made from, and which sessions it wrote. One id is one content.

    `symbols` are those whose rows it uses, None: all. A parent is used as a whole.
    """

    id: str
    kind: NodeKind
    market: str
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    parents: tuple[Parent, ...] = ()
    reads: tuple[Read, ...] = ()
    writes: Contents | None = None
    symbols: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("id", "market", "name"):
            require_text(name, getattr(self, name))
        require_json(self.facts, "facts")
        if self.kind is NodeKind.TABLE_VERSION and self.writes is None:
            raise LineageRefused(f"Table version {self.name} of {self.market} wrote no session. Name those it wrote.")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Known:
    """A node as a list of dependents shows it."""

    kind: NodeKind
    market: str
    name: str
    created_at: datetime
    id: str


def table_version(writes: Contents, reads: tuple[Read, ...] = (), facts: Mapping[str, Any] | None = None) -> Node:
    """One write to a table: the sessions that it left there, and what it made them from."""
    content = [
        [writes.market, writes.table, _texts(writes)],
        [[each.contents.market, each.contents.table, _texts(each.contents), _rule(each)] for each in reads],
        dict(facts or {}),
    ]
    return Node(
        id=digest_json(content),
        kind=NodeKind.TABLE_VERSION,
        market=writes.market,
        name=writes.table,
        facts=dict(facts or {}),
        reads=reads,
        writes=writes,
    )


def _texts(contents: Contents) -> dict[str, str]:
    return {session.isoformat(): content for session, content in contents.ids.items()}


def _rule(read: Read) -> list[Any]:
    return [read.reach.back, read.reach.ahead, read.across_symbols]
