"""The market's past: made block by block, kept as long as it fits, remade from checkpoints where it does not."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from threading import RLock

import numpy as np

from quant_pipelines.calendars import Calendar, Session
from quant_pipelines.markets.market import SyntheticSource
from quant_pipelines.markets.rules import RuleBook
from quant_pipelines.sources.synthetic.evolution import Bars, Evolution, State
from quant_pipelines.sources.synthetic.names import symbol_names
from quant_pipelines.sources.synthetic.recipe import BLOCK, characters, draw

# About 200 MB of bars; a smaller market is kept whole.
KEPT_BARS = 3_000_000
_SECONDS_PER_DAY = 86_400


@dataclass(slots=True)
class Tape:
    """Bars by block. Beside them the state at each block's beginning, so that any block can be made again alone."""

    seed: int
    sectors: int
    symbols: tuple[str, ...]
    evolution: Evolution
    checkpoints: list[State]
    newest: State
    kept_bars: int = KEPT_BARS
    blocks: OrderedDict[int, tuple[int, Bars]] = field(default_factory=OrderedDict[int, tuple[int, Bars]])
    lock: RLock = field(default_factory=RLock)

    def advance(self, labels: Sequence[Session]) -> State:
        """Live through the labels, the market's sessions so far; the state may be one of later sessions."""
        with self.lock:
            if self.newest.position < len(labels):
                for block in range(len(self.checkpoints) - 1, -(-len(labels) // BLOCK)):
                    self._block(block, labels)
            return self.newest

    def stretches(self, labels: Sequence[Session], first: int, stop: int) -> Iterator[tuple[int, Bars, slice]]:
        """The bars of positions first to stop (excluded), as (position, block, rows of the block)."""
        self.advance(labels[:stop])
        for block in range(first // BLOCK, -(-stop // BLOCK)):
            begin, end = max(first, block * BLOCK), min(stop, (block + 1) * BLOCK)
            with self.lock:
                bars = self._block(block, labels)
            yield begin, bars, slice(begin - block * BLOCK, end - block * BLOCK)

    def _block(self, block: int, labels: Sequence[Session]) -> Bars:
        length = min(len(labels) - block * BLOCK, BLOCK)
        kept = self.blocks.get(block)
        if kept is not None and kept[0] >= length:
            self.blocks.move_to_end(block)
            return kept[1]
        bars = self._make(block, labels[block * BLOCK : block * BLOCK + length])
        self.blocks[block] = (length, bars)
        self.blocks.move_to_end(block)
        while len(self.blocks) > max(1, self.kept_bars // (BLOCK * len(self.symbols))):
            self.blocks.popitem(last=False)
        return bars

    def _make(self, block: int, labels: Sequence[Session]) -> Bars:
        state = self.checkpoints[block].copy()
        chance = draw(self.seed, block, len(self.symbols), self.sectors)
        bars = Bars.empty(len(labels), len(self.symbols))
        for row, label in enumerate(labels):
            self.evolution.step(state, chance, row, label.date(), bars)
        if len(labels) == BLOCK and len(self.checkpoints) == block + 1:
            self.checkpoints.append(state.copy())
        if state.position > self.newest.position:
            self.newest = state
        return bars


@lru_cache(maxsize=4)
def tape_for(config: SyntheticSource, calendar: Calendar, begins: Session, book: RuleBook) -> Tape:  # noqa: ARG001
    """One tape per market and process, whoever asks. `begins` only tells markets apart."""
    return new_tape(config, calendar, book)


def new_tape(config: SyntheticSource, calendar: Calendar, book: RuleBook) -> Tape:
    """A tape that has nothing on it yet."""
    symbols = symbol_names(book.name, config.symbols)
    evolution = Evolution(
        character=characters(config.seed, config.symbols, config.sectors),
        book=book,
        boards=tuple(book.board_of(symbol).name for symbol in symbols),
        days=calendar.step.total_seconds() / _SECONDS_PER_DAY,
    )
    beginning = evolution.beginning()
    return Tape(config.seed, config.sectors, symbols, evolution, [beginning], beginning)


def sorted_places(symbols: Sequence[str]) -> list[int]:
    """Places in the order of their names."""
    return [int(place) for place in np.argsort(np.array(symbols))]
