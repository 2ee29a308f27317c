"""Whose bars these are: by a column where there is one, else by the file's name."""

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from quant_pipelines.sources.files.aliases import NO_SYMBOL, SYMBOL_COLUMN
from quant_pipelines.sources.files.documents import Document
from quant_pipelines.sources.files.layout import Layout
from quant_pipelines.sources.files.refusals import FilesMisconfigured, Unreadable
from quant_pipelines.sources.files.rows import Codes

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class SymbolRule:
    """`pattern` takes the symbol from the file's name, even where a column has it; the two must agree."""

    pattern: re.Pattern[str] | None = None

    def of_document(self, document: Document, layout: Layout | None) -> str:
        """The one symbol of a document without a symbol column."""
        if layout is not None and layout.ticker is not None and self.pattern is None:
            return layout.ticker
        if self.pattern is None:
            return document.stem
        found = self.pattern.search(document.stem)
        if found is None or not found.group(1):
            raise Unreadable(
                f"the name {document.stem!r} does not fit the symbol pattern {self.pattern.pattern!r}. "
                "Correct symbol in the market's entry, or exclude the file by pattern."
            )
        return found.group(1)

    def for_no_rows(self, document: Document, layout: Layout | None) -> tuple[str, ...]:
        """A document without rows has a symbol only where its name gives one."""
        by_column = layout is not None and SYMBOL_COLUMN in layout.positions
        return () if by_column and self.pattern is None else (self.of_document(document, layout),)

    def of_column(
        self, column: pa.ChunkedArray, document: Document, layout: Layout | None
    ) -> tuple[tuple[str, ...], Codes | None]:
        """The symbols of a column, sorted, and which one each row has."""
        encoded = column.unify_dictionaries().combine_chunks()
        names = [name.strip() for name in encoded.dictionary.to_pylist()]
        indices = encoded.indices.to_numpy(zero_copy_only=False)
        for position, name in enumerate(names):
            if name in NO_SYMBOL and (indices == position).any():
                row = int(np.argmax(indices == position))
                raise Unreadable("no symbol in this row. Every bar needs one.", row=row)
        symbols = tuple(sorted(set(names)))
        if self.pattern is not None:
            self._check_agreement(symbols, self.of_document(document, layout))
        if len(symbols) == 1:
            return symbols, None
        ranks = {name: rank for rank, name in enumerate(symbols)}
        return symbols, np.array([ranks[name] for name in names], dtype=np.int32)[indices]

    def origin(self, layout: Layout) -> str:
        """Where the symbol came from, in words."""
        if self.pattern is not None:
            return f"file name by {self.pattern.pattern}"
        if SYMBOL_COLUMN in layout.positions:
            return f"column {layout.names[layout.positions[SYMBOL_COLUMN]]}"
        return "ticker line" if layout.ticker is not None else "file name"

    def _check_agreement(self, held: tuple[str, ...], named: str) -> None:
        if held != (named,):
            raise Unreadable(
                f"the file's name says {named!r}, its symbol column {', '.join(map(repr, held[:_SHOWN]))}. "
                "Leave symbol away to believe the column, or correct the file."
            )


def symbol_rule(text: str | None) -> tuple[SymbolRule, str | None]:
    """The entry's `symbol`: a regular expression with one group for the file's name, or a column's name."""
    if text is None:
        return SymbolRule(), None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise FilesMisconfigured(f"symbol {text!r} is no regular expression ({error}). Correct it.") from error
    if pattern.groups > 1:
        raise FilesMisconfigured(f"symbol {text!r} has {pattern.groups} groups. Use one, e.g. '^(.+)_data'.")
    return (SymbolRule(pattern), None) if pattern.groups else (SymbolRule(), text)
