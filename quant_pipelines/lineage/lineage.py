"""Lineage: what everything was made from, kept beside the journal."""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import URL

from quant_pipelines.calendars import Session, session_key
from quant_pipelines.clock import Clock
from quant_pipelines.digest import digest_json
from quant_pipelines.journal import journal_url
from quant_pipelines.journal.database import Database
from quant_pipelines.journal.entries import payload_text
from quant_pipelines.lake.tables import RAW_BARS
from quant_pipelines.lineage.failures import LineageConflict, UnknownContent, UnknownNode
from quant_pipelines.lineage.nodes import Content, Contents, Known, Node, Parent, Read
from quant_pipelines.lineage.searching import Backward, Forward
from quant_pipelines.lineage.stored import Cell, Store, StoredNode
from quant_pipelines.lineage.tables import EDGES, NODES, READS, SCHEMA
from quant_pipelines.settings import Settings

_LOCK = "lineage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """What a search found: nodes and sessions, in order."""

    nodes: tuple[Known, ...]
    contents: tuple[Content, ...]


class Lineage:
    """Nodes are immutable, and recorded after what they were made from."""

    def __init__(self, url: str | URL, *, clock: Clock) -> None:
        self._database = Database(url, SCHEMA)
        self._clock = clock

    def record(self, node: Node) -> bool:
        """Record the node; False where it was recorded before. Another content under its id is refused."""
        with self._database.writing(_LOCK) as connection:
            store = Store(connection)
            reads = [(store.plant(read.contents), read) for read in node.reads]
            writes = None if node.writes is None else store.plant(node.writes)
            content = _content(node, reads, writes)
            known = store.nodes([node.id]).get(node.id)
            if known is not None and known.content != content:
                raise LineageConflict(node.id)
            if known is None:
                _require_known(store, [parent.id for parent in node.parents])
                store.add(NODES, [_node_row(node, writes, content, self._clock.now())])
                store.add(EDGES, [{"child": node.id, "parent": each.id, "role": each.role} for each in node.parents])
                store.add(READS, [_read_row(node, at, root, read) for at, (root, read) in enumerate(reads)])
            return known is None

    def node(self, node_id: str) -> Node:
        """The node as it was recorded."""
        with self._database.reading() as connection:
            store = Store(connection)
            stored = _require_known(store, [node_id])[node_id]
            return Node(
                id=node_id,
                kind=stored.known.kind,
                market=stored.known.market,
                name=stored.known.name,
                facts=stored.facts,
                parents=_parents(store, node_id),
                reads=_reads(store, node_id),
                writes=None if stored.writes is None else _contents(store, stored.writes),
                symbols=stored.symbols,
            )

    def known(self, node_id: str) -> Known:
        """What the node is, and when it was recorded."""
        with self._database.reading() as connection:
            return _require_known(Store(connection), [node_id])[node_id].known

    def parents_of(self, node_id: str) -> tuple[Parent, ...]:
        """The nodes that this one was made from directly."""
        return self.node(node_id).parents

    def descendants(self, node_id: str) -> tuple[Known, ...]:
        """Every node that has this one among its parents, or among theirs."""
        with self._database.reading() as connection:
            store = Store(connection)
            _require_known(store, [node_id])
            found = set[str]()
            fresh = store.children([node_id])
            while fresh:
                found |= fresh
                fresh = store.children(fresh) - found
            return tuple(sorted(each.known for each in store.nodes(found).values()))

    def ancestors(self, node_id: str) -> Traced:
        """Everything that the node was made from, down to the sessions of the tables that nothing made."""
        with self._database.reading() as connection:
            store = Store(connection)
            _require_known(store, [node_id])
            search = Backward(store)
            search.run({node_id})
            return _traced(store, search.nodes - {node_id}, search.cells)

    def origin(self, content: Content) -> Traced:
        """Everything that one content of a session was made from. The writes that brought it are among the nodes."""
        with self._database.reading() as connection:
            store = Store(connection)
            recorded = store.recorded(content.market, content.table, content.session.isoformat())
            start = {cell for cell in recorded if cell.id == content.id}
            if not start:
                place = f"{content.market}/{content.table} {session_key(content.session)}"
                raise UnknownContent(place, content.id, sorted(cell.id for cell in recorded))
            search = Backward(store)
            search.run((), start)
            return _traced(store, search.nodes, search.cells - start)

    def named(self, beginning: str) -> tuple[tuple[Known, ...], tuple[Content, ...]]:
        """The nodes and the sessions' contents whose id begins so; a few of them where it says next to nothing."""
        with self._database.reading() as connection:
            store = Store(connection)
            nodes = store.nodes(store.nodes_named(beginning))
            found = _traced(store, set(nodes), store.cells_named(beginning))
            return found.nodes, found.contents

    def dependents(
        self,
        market: str,
        session: Session,
        *,
        table: str = RAW_BARS.name,
        content: str | None = None,
        symbol: str | None = None,
    ) -> Traced:
        """Everything that was made of a session, or of one symbol's bar in it.

        `content` chooses one of the contents that the session has had, e.g. the one that a restatement replaced;
        without it they all count. The writes that brought the content are among the nodes.
        """
        with self._database.reading() as connection:
            store = Store(connection)
            recorded = store.recorded(market, table, session.isoformat())
            start = {cell for cell in recorded if content in (None, cell.id)}
            if not start:
                place = f"{market}/{table} {session_key(session)}"
                raise UnknownContent(place, content, sorted(cell.id for cell in recorded))
            search = Forward(store, symbol)
            search.run(start)
            return _traced(store, search.nodes, search.cells.keys() - start)


def open_lineage(settings: Settings, *, clock: Clock) -> Lineage:
    """The installation's lineage, in the journal's database."""
    return Lineage(journal_url(settings), clock=clock)


def _content(node: Node, reads: list[tuple[str, Read]], writes: str | None) -> str:
    fields = [node.kind, node.market, node.name, node.facts, _symbols(node), writes]
    edges = sorted([parent.id, parent.role] for parent in node.parents)
    return digest_json([*fields, edges, [_read_row(node, at, root, read) for at, (root, read) in enumerate(reads)]])


def _symbols(node: Node) -> str | None:
    return None if node.symbols is None else json.dumps(sorted(node.symbols), ensure_ascii=False)


def _node_row(node: Node, writes: str | None, content: str, now: datetime) -> dict[str, str | None]:
    return {
        "id": node.id,
        "kind": node.kind,
        "market": node.market,
        "name": node.name,
        "created_at": now.isoformat(timespec="microseconds"),
        "facts": payload_text(node.facts),
        "symbols": _symbols(node),
        "writes": writes,
        "content": content,
    }


def _read_row(node: Node, position: int, root: str, read: Read) -> dict[str, str | int | bool | None]:
    return {
        "node": node.id,
        "position": position,
        "list": root,
        "back": read.reach.back,
        "ahead": read.reach.ahead,
        "across_symbols": read.across_symbols,
    }


def _require_known(store: Store, ids: list[str]) -> dict[str, StoredNode]:
    found = store.nodes(ids)
    if unknown := sorted(set(ids) - found.keys()):
        raise UnknownNode(unknown)
    return found


def _parents(store: Store, node_id: str) -> tuple[Parent, ...]:
    return tuple(sorted(Parent(parent, role) for _, parent, role in store.parents([node_id])))


def _reads(store: Store, node_id: str) -> tuple[Read, ...]:
    return tuple(
        Read(contents=_contents(store, read.list), reach=read.reach, across_symbols=read.across_symbols)
        for read in store.reads_of([node_id])
    )


def _contents(store: Store, root: str) -> Contents:
    cells = store.cells(root)
    first = next(iter(cells.values()))
    ids = {datetime.fromisoformat(label): cell.id for label, cell in cells.items()}
    return Contents(market=first.market, table=first.table, ids=ids)


def _traced(store: Store, nodes: set[str], cells: set[Cell]) -> Traced:
    known = sorted(stored.known for stored in store.nodes(nodes).values())
    contents = sorted(Content(cell.market, cell.table, datetime.fromisoformat(cell.label), cell.id) for cell in cells)
    return Traced(nodes=tuple(known), contents=tuple(contents))
