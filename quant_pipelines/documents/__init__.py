"""Configuration files that people write: entries by name, frozen values, all mistakes told at once with their lines."""

from quant_pipelines.documents.document import BadDocument, Document, Location, Problem, read_document
from quant_pipelines.documents.entries import named_entries
from quant_pipelines.documents.entry import Entry
from quant_pipelines.documents.mistakes import closest, mistakes

__all__ = [
    "BadDocument",
    "Document",
    "Entry",
    "Location",
    "Problem",
    "closest",
    "mistakes",
    "named_entries",
    "read_document",
]
