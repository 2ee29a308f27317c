"""Walks lineage in both directions, session by session: back to the bytes, and on to all that was made of them."""

from collections.abc import Collection
from dataclasses import dataclass, field

from quant_pipelines.lineage.reach import needed, touched
from quant_pipelines.lineage.stored import Cell, Store, StoredNode, StoredRead


@dataclass
class Backward:
    """All that a node was made from."""

    store: Store
    nodes: set[str] = field(default_factory=set[str])
    cells: set[Cell] = field(default_factory=set[Cell])
    _whole: set[str] = field(default_factory=set[str])

    def run(self, start: Collection[str], made: Collection[Cell] = ()) -> None:
        """From nodes as a whole, or from sessions alone. Round by round, until nothing is new."""
        whole, cells = set(start), set(made)
        while whole or cells:
            self._whole |= whole
            self.cells |= cells
            writers = self.store.writers_to(self.store.lists_with(cells))
            self.nodes |= writers.keys()
            used = self._used(self.store.nodes(whole), None) | self._used(writers, cells)
            parents = {parent for _, parent, _ in self.store.parents(whole | writers.keys())}
            self.nodes |= parents
            whole, cells = parents - self._whole, used - self.cells

    def _used(self, nodes: dict[str, StoredNode], made: Collection[Cell] | None) -> set[Cell]:
        """What the nodes used to make these sessions; None: to make all that they made."""
        found = set[Cell]()
        for read in self.store.reads_of(nodes):
            inputs = self.store.cells(read.list)
            writes = nodes[read.node].writes
            if writes is None:
                found |= set(inputs.values())
                continue
            own = self.store.cells(writes)
            outputs = own.keys() if made is None else {cell.label for cell in own.values() if cell in made}
            found |= {inputs[label] for label in needed(list(inputs), outputs, read.reach)}
        return found


@dataclass
class Forward:
    """All that was made of some sessions, or of one symbol's rows in them."""

    store: Store
    symbol: str | None
    nodes: set[str] = field(default_factory=set[str])
    # Whether a session is touched in other symbols' rows too.
    cells: dict[Cell, bool] = field(default_factory=dict[Cell, bool])
    _whole: set[str] = field(default_factory=set[str])

    def run(self, start: Collection[Cell]) -> None:
        """Round by round, until nothing is new."""
        fresh = dict.fromkeys(start, self.symbol is None)
        while fresh:
            self.cells |= fresh
            made: dict[Cell, bool] = {}
            for across in (False, True):
                _add(made, self._step({cell for cell, everywhere in fresh.items() if everywhere is across}, across))
            _add(made, dict.fromkeys(self._made_by_children(), True))
            fresh = {cell: across for cell, across in made.items() if across > self.cells.get(cell, -1)}

    def _step(self, changed: Collection[Cell], across: bool) -> dict[Cell, bool]:
        """The nodes that wrote or used these sessions, and the sessions made of them."""
        made: dict[Cell, bool] = {}
        lists = self.store.lists_with(changed)
        self.nodes |= self.store.writers_to(lists).keys()
        reads = self.store.reads_from(lists)
        nodes = self.store.nodes({read.node for read in reads})
        for read in reads:
            node = nodes[read.node]
            if not across and node.symbols is not None and self.symbol not in node.symbols:
                continue
            if node.writes is None:
                self.nodes.add(read.node)
            elif outputs := self._outputs(read, node.writes, changed):
                self.nodes.add(read.node)
                _add(made, dict.fromkeys(outputs, across or read.across_symbols))
        return made

    def _outputs(self, read: StoredRead, writes: str, changed: Collection[Cell]) -> list[Cell]:
        inputs, outputs = self.store.cells(read.list), self.store.cells(writes)
        hit = [cell.label for cell in changed if inputs.get(cell.label) == cell]
        return [outputs[label] for label in touched(list(inputs), outputs, read.reach, hit)]

    def _made_by_children(self) -> set[Cell]:
        """Children use their parents as a whole, so all that they wrote is touched."""
        made = set[Cell]()
        fresh = self.store.children(self.nodes) - self._whole
        while fresh:
            self._whole |= fresh
            self.nodes |= fresh
            written = [node.writes for node in self.store.nodes(fresh).values() if node.writes is not None]
            made |= {cell for root in written for cell in self.store.cells(root).values()}
            fresh = self.store.children(fresh) - self._whole
        return made


def _add(made: dict[Cell, bool], more: dict[Cell, bool]) -> None:
    for cell, across in more.items():
        made[cell] = across or made.get(cell, False)
