"""A file of entries by name under one top field."""

from collections.abc import Mapping
from typing import Any

from quant_pipelines.documents.document import Document, Location, Problem
from quant_pipelines.documents.mistakes import closest


def named_entries(
    document: Document, top: str, problems: list[Problem], *, one: str
) -> Mapping[str, Mapping[str, Any]]:
    """The entries by name, without those that are no entries; what is wrong with the file's form is told.

    `one` is what people call an entry, e.g. market.
    """
    return {
        name: entry
        for name, entry in _under(document, top, problems, one).items()
        if _has_form(document, (top, name), entry, problems, one)
    }


def _under(document: Document, top: str, problems: list[Problem], one: str) -> Mapping[str, Any]:
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get(top), dict) or not value[top]:
        problems.append(document.problem((), f"found no entries under '{top}:', expected at least one {one} by name"))
    if not isinstance(value, dict):
        return {}
    for stranger in sorted(value.keys() - {top}):
        text = f"found the unknown field {stranger!r}; {closest(stranger, [top])}"
        problems.append(document.problem((stranger,), text))
    entries = value.get(top)
    return entries if isinstance(entries, dict) else {}


def _has_form(document: Document, at: Location, entry: object, problems: list[Problem], one: str) -> bool:
    if not isinstance(entry, dict):
        problems.append(document.problem(at, f"found {entry!r}, expected the fields of a {one}"))
        return False
    if "name" in entry:
        problems.append(document.problem((*at, "name"), f"a {one}'s name is its key; remove this field"))
        return False
    return True
