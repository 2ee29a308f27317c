"""Lineage's rows: what stands in the tables, asked for in few questions of bounded size."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, insert, select

from quant_pipelines.lineage.nodes import Contents, Known, NodeKind, Reach
from quant_pipelines.lineage.tables import EDGES, ENTRIES, LISTS, NODES, READS
from quant_pipelines.lineage.trees import Branch, tree

# Fewer parameters than any SQLite allows in one statement.
_BATCH = 500

T = TypeVar("T")


class Cell(NamedTuple):
    """A session's content as the tables write it."""

    market: str
    table: str
    label: str
    id: str


@dataclass(frozen=True, slots=True)
class StoredRead:
    """A node's read of one list."""

    node: str
    list: str
    reach: Reach
    across_symbols: bool


@dataclass(frozen=True, slots=True)
class StoredNode:
    """A node without its parents and reads."""

    known: Known
    facts: dict[str, Any]
    symbols: tuple[str, ...] | None
    writes: str | None
    content: str


class Store:
    """One transaction's view of the tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # What a list holds never changes, and lists share most of their months.
        self._entries: dict[str, list[tuple[str, str]]] = {}
        self._leaf_cells: dict[str, dict[str, Cell]] = {}

    def plant(self, contents: Contents) -> str:
        """Store the lists that are not there yet; the name of the one that names all sessions."""
        branches = tree(contents)
        root = branches[-1].id
        if self._in(select(LISTS.c.id), LISTS.c.id, [root]):
            return root
        known = {row.id for row in self._in(select(LISTS.c.id), LISTS.c.id, [branch.id for branch in branches])}
        new = {branch.id: branch for branch in branches if branch.id not in known}.values()
        self.add(LISTS, [_list_row(contents, branch) for branch in new])
        entries = [(branch.id, *entry) for branch in new for entry in branch.entries]
        self.add(ENTRIES, [dict(zip(("list", "label", "child"), entry, strict=True)) for entry in entries])
        return root

    def add(self, table: Any, rows: list[dict[str, Any]]) -> None:
        if rows:
            self._connection.execute(insert(table), rows)

    def nodes(self, ids: Collection[str]) -> dict[str, StoredNode]:
        return {row.id: _node(row) for row in self._in(select(NODES), NODES.c.id, ids)}

    def parents(self, ids: Collection[str]) -> list[tuple[str, str, str]]:
        """Child, parent and role."""
        return [(row.child, row.parent, row.role) for row in self._in(select(EDGES), EDGES.c.child, ids)]

    def children(self, ids: Collection[str]) -> set[str]:
        return {row.child for row in self._in(select(EDGES.c.child), EDGES.c.parent, ids)}

    def reads_of(self, ids: Collection[str]) -> list[StoredRead]:
        """In the order in which they were recorded."""
        rows = sorted(self._in(select(READS), READS.c.node, ids), key=lambda row: (row.node, row.position))
        return [_read(row) for row in rows]

    def reads_from(self, lists: Collection[str]) -> list[StoredRead]:
        return [_read(row) for row in self._in(select(READS), READS.c.list, lists)]

    def writers_to(self, lists: Collection[str]) -> dict[str, StoredNode]:
        return {row.id: _node(row) for row in self._in(select(NODES), NODES.c.writes, lists)}

    def cells(self, root: str) -> dict[str, Cell]:
        """The sessions that a list names, by label, in order."""
        (top,) = self._in(select(LISTS), LISTS.c.id, [root])
        leaves = [root]
        for _ in range(top.level):
            leaves = [child for entries in self._held(leaves) for _, child in entries]
        cells: dict[str, Cell] = {}
        for leaf, entries in zip(leaves, self._held(leaves), strict=True):
            if leaf not in self._leaf_cells:
                self._leaf_cells[leaf] = {each[0]: Cell(top.market, top.table_name, *each) for each in entries}
            cells |= self._leaf_cells[leaf]
        return cells

    def recorded(self, market: str, table: str, label: str) -> set[Cell]:
        """Every content that a session was ever recorded with."""
        statement = self._leaves().where(ENTRIES.c.label == label, LISTS.c.market == market)
        rows = self._connection.execute(statement.where(LISTS.c.table_name == table))
        return {Cell(market, table, label, row.child) for row in rows}

    def nodes_named(self, beginning: str) -> set[str]:
        """Ids of nodes that begin so."""
        statement = select(NODES.c.id).where(*_begins(NODES.c.id, beginning)).limit(_BATCH)
        return {row.id for row in self._connection.execute(statement)}

    def cells_named(self, beginning: str) -> set[Cell]:
        """Contents of sessions whose id begins so."""
        statement = self._leaves().where(*_begins(ENTRIES.c.child, beginning)).limit(_BATCH)
        rows = self._connection.execute(statement)
        return {Cell(row.market, row.table_name, row.label, row.child) for row in rows}

    def lists_with(self, cells: Collection[Cell]) -> set[str]:
        """Every list that names any of these, itself or through the lists below it."""
        leaves = self._in(self._leaves(), ENTRIES.c.child, {cell.id for cell in cells})
        named = {row.list for row in leaves if Cell(row.market, row.table_name, row.label, row.child) in cells}
        found, fresh = set(named), named
        while fresh:
            above = {row.list for row in self._in(select(ENTRIES.c.list), ENTRIES.c.child, fresh)}
            fresh = above - found
            found |= fresh
        return found

    def _leaves(self) -> Select[Any]:
        joined = ENTRIES.join(LISTS, ENTRIES.c.list == LISTS.c.id)
        columns = (ENTRIES.c.list, ENTRIES.c.label, ENTRIES.c.child, LISTS.c.market, LISTS.c.table_name)
        return select(*columns).select_from(joined).where(LISTS.c.level == 0)

    def _held(self, lists: list[str]) -> list[list[tuple[str, str]]]:
        """What each list holds, in order of the labels."""
        missing = [each for each in lists if each not in self._entries]
        self._entries |= {each: [] for each in missing}
        for row in self._in(select(ENTRIES), ENTRIES.c.list, missing):
            self._entries[row.list].append((row.label, row.child))
        for each in missing:
            self._entries[each].sort()
        return [self._entries[each] for each in lists]

    def _in(self, statement: Select[Any], column: ColumnElement[Any], values: Collection[str]) -> list[Row[Any]]:
        found: list[Row[Any]] = []
        for some in _batches(sorted(values)):
            found += self._connection.execute(statement.where(column.in_(some)))
        return found


def _begins(column: ColumnElement[Any], beginning: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """As a range, which an index answers. What ids are made of comes before `g`."""
    return column >= beginning, column < f"{beginning}g"


def _batches(values: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]


def _list_row(contents: Contents, branch: Branch) -> dict[str, Any]:
    return {"id": branch.id, "market": contents.market, "table_name": contents.table, "level": branch.level}


def _read(row: Row[Any]) -> StoredRead:
    return StoredRead(row.node, row.list, Reach(back=row.back, ahead=row.ahead), row.across_symbols)


def _node(row: Row[Any]) -> StoredNode:
    created_at = datetime.fromisoformat(row.created_at)
    return StoredNode(
        Known(kind=NodeKind(row.kind), market=row.market, name=row.name, created_at=created_at, id=row.id),
        json.loads(row.facts),
        None if row.symbols is None else tuple(json.loads(row.symbols)),
        row.writes,
        row.content,
    )
