"""Validation errors, translated: line, field, what was found, what was expected, what to do."""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from quant_pipelines.documents.document import Document, Location, Problem, field_name

_LONGEST_VALUE_SHOWN = 60


def mistakes(error: ValidationError, document: Document, at: Location, model: type[BaseModel]) -> Iterator[Problem]:
    """What is wrong with the entry that stands at `at`."""
    for details in error.errors():
        where = document.nearest(at, details["loc"])
        if details["type"] == "missing":
            where = (*where, details["loc"][-1])
        yield Problem(document.lines[document.nearest((), where)], field_name(where), _sentence(details, model))


def closest(found: str, known: Iterable[str]) -> str:
    """`did you mean x?`, or the whole choice where nothing is near."""
    names = sorted(known)
    near = difflib.get_close_matches(found, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(names)}"


def _sentence(details: ErrorDetails, model: type[BaseModel]) -> str:
    kind, found, context = details["type"], details.get("input"), details.get("ctx", {})
    if kind == "missing":
        return "this field is missing; add it"
    if kind == "extra_forbidden":
        name = str(details["loc"][-1])
        return f"found the unknown field {name!r}; {closest(name, _fields_at(model, details['loc'][:-1]))}"
    if kind == "union_tag_not_found":
        return "the field 'kind' is missing; say which kind this is"
    if kind == "union_tag_invalid":
        tags = [tag.strip("' ") for tag in str(context["expected_tags"]).split(",")]
        return f"found kind {context['tag']!r}; {closest(str(context['tag']), tags)}"
    if kind == "literal_error" and isinstance(found, str):
        return f"found {found!r}, expected {context['expected']}; {_literal_hint(found, str(context['expected']))}"
    hint = "; put it in quotes" if kind == "string_type" and isinstance(found, int | float | bool) else ""
    return f"found {_shown(found)}, expected: {details['msg']}{hint}"


def _literal_hint(found: str, expected: str) -> str:
    names = [name.strip("' ") for name in expected.replace(" or ", ",").split(",")]
    return closest(found, names)


def _shown(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _LONGEST_VALUE_SHOWN else text[:_LONGEST_VALUE_SHOWN] + "..."


def _fields_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> set[str]:
    """The fields that may stand at `loc`, which also holds the tags of unions."""
    models = [model]
    for part in loc:
        inner = [field.annotation for each in models for name, field in _named(each) if name == part]
        if inner:
            models = [found for annotation in inner for found in _models_in(annotation)]
        else:
            models = [each for each in models if part in _tags(each)] or models
    return {name for each in models for name, _ in _named(each)}


def _named(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        yield field.alias or name, field


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
