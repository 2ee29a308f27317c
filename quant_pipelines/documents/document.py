"""YAML files that people write: read safely, with the line of every field, and all mistakes told at once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from quant_pipelines.errors import OperatorActionRequired

Location = tuple[str | int, ...]

_LARGEST_FILE_BYTES = 1_000_000
_BOOLEAN = "tag:yaml.org,2002:bool"


class Problem(NamedTuple):
    """One mistake: where it stands and what to do."""

    line: int
    field: str
    text: str


class BadDocument(OperatorActionRequired):
    """A configuration file with mistakes, all of them listed."""

    code = "QP120"

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        count = "a mistake" if len(self.problems) == 1 else f"{len(self.problems)} mistakes"
        lines = [f"  line {each.line}, {each.field or 'whole file'}: {each.text}" for each in self.problems]
        super().__init__("\n".join([f"{path} has {count}. Correct the file and try again:", *lines]))


@dataclass(frozen=True, slots=True)
class Document:
    """A file's plain value and the line on which each of its fields begins."""

    path: Path
    value: Any
    lines: dict[Location, int]
    # Duplicate fields and unreadable values; told together with what validation finds.
    problems: tuple[Problem, ...] = ()

    def nearest(self, at: Location, rest: Location = ()) -> Location:
        """Follow `rest` from `at` as far as the file has it; parts that stand nowhere (union tags) are skipped."""
        for part in rest:
            if (*at, part) in self.lines:
                at = (*at, part)
        return at

    def refusal(self, found: Iterable[Problem]) -> BadDocument | None:
        """The error for all mistakes, unless there are none. A field that could not be read is told once."""
        unreadable = {each.field for each in self.problems}
        problems = [*self.problems, *(each for each in found if each.field not in unreadable)]
        return BadDocument(self.path, problems) if problems else None

    def problem(self, at: Location, text: str) -> Problem:
        return Problem(self.lines[self.nearest((), at)], field_name(at), text)


def field_name(at: Location) -> str:
    """`markets.demo.universe.symbols[2]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).lstrip(".")


def read_document(path: Path) -> Document:
    """Read one YAML document. Anchors are refused: a value should be where it is used."""
    text = _text(path)
    try:
        aliased = [event for event in yaml.parse(text, Loader=_Loader) if isinstance(event, yaml.AliasEvent)]
        if aliased:
            line = aliased[0].start_mark.line + 1
            raise BadDocument(path, [Problem(line, "", f"found the alias *{aliased[0].anchor}; write the value out")])
        return _Reading(path).document(yaml.compose(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        raise BadDocument(path, [_broken(error)]) from error
    except yaml.YAMLError as error:
        raise BadDocument(path, [Problem(1, "", f"this is no YAML: {error}; save it as plain UTF-8 text")]) from error
    except RecursionError as error:
        raise BadDocument(path, [Problem(1, "", "fields are nested too deeply; a few levels are enough")]) from error


def _broken(error: yaml.MarkedYAMLError) -> Problem:
    """Where it became unreadable, and where the part began that did: an open quote is noticed at the file's end."""
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    began = f" {error.context} from line {error.context_mark.line + 1}" if error.context_mark else ""
    return Problem(line, "", f"this is no YAML: {error.problem}{began}; check quotes, colons and indentation")


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = f"the file cannot be read ({error.strerror}); check its path and rights"
        raise BadDocument(path, [Problem(1, "", reason)]) from error
    if len(content) > _LARGEST_FILE_BYTES:
        reason = f"found {len(content)} bytes, expected at most {_LARGEST_FILE_BYTES}; is this the right file?"
        raise BadDocument(path, [Problem(1, "", reason)])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadDocument(
            path, [Problem(line, "", "found bytes that are not UTF-8; save the file as UTF-8")]
        ) from error


class _Loader(yaml.SafeLoader):
    """Safe, and without the booleans yes, no, on, off, y and n: ON and NO are tickers."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag != _BOOLEAN]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))


@dataclass(slots=True)
class _Reading:
    """Turns nodes into plain values, and remembers lines and mistakes on the way."""

    path: Path
    lines: dict[Location, int] = field(default_factory=dict[Location, int])
    problems: list[Problem] = field(default_factory=list[Problem])
    scalars: _Loader = field(default_factory=lambda: _Loader(""))

    def document(self, root: yaml.Node | None) -> Document:
        self.lines[()] = 1
        value = None if root is None else self._value(root, ())
        return Document(self.path, value, self.lines, tuple(self.problems))

    def _value(self, node: yaml.Node, at: Location) -> object:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            for position, item in enumerate(node.value):
                self.lines[(*at, position)] = _line(item)
            return [self._value(item, (*at, position)) for position, item in enumerate(node.value)]
        return self._scalar(node, at)

    def _mapping(self, node: yaml.MappingNode, at: Location) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node, at)
            if not isinstance(key, str):
                self._tell(key_node, at, f"found {key!r} as a field's name, expected text; put it in quotes")
            elif key in found:
                first = self.lines[(*at, key)]
                self._tell(
                    key_node, (*at, key), f"this field stands here a second time (first on line {first}); keep one"
                )
            else:
                self.lines[(*at, key)] = _line(key_node)
                found[key] = self._value(value_node, (*at, key))
        return found

    def _scalar(self, node: yaml.Node, at: Location) -> object:
        try:
            # A tag such as !!python/name never reaches Python: the safe loader knows none of them.
            return self.scalars.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError) as error:
            reason = getattr(error, "problem", None) or str(error)
            self._tell(
                node, at, f"found {str(node.value)[:60]!r}, which cannot be read ({reason}); correct or quote it"
            )
            return None

    def _tell(self, node: yaml.Node, at: Location, text: str) -> None:
        self.problems.append(Problem(_line(node), field_name(at), text))


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1
