"""Which column of a file is which field of a bar."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from quant_pipelines.markets.market import FilesSource, Units
from quant_pipelines.sources.files.aliases import (
    ADJUSTED_CLOSE,
    ALIASES,
    FACTOR,
    FIELDS,
    PRICES,
    REQUIRED,
    STATED_UNITS,
    SYMBOL_COLUMN,
    SYMBOL_IF_NOTHING_ELSE,
)
from quant_pipelines.sources.files.refusals import FilesMisconfigured, Unreadable

_SHOWN = 12
# Both the narrow and the wide brackets that Chinese programs write.
_BRACKETED = re.compile("[(\uff08\\[\u3010]([^)\uff09\\]\u3011]*)[)\uff09\\]\u3011]")
_FILLING = re.compile(r"[\s_\-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the market's entry says about columns, checked once."""

    declared: Mapping[str, str] = field(default_factory=dict)
    units: Units = field(default_factory=Units)
    extra: tuple[str, ...] = ()

    @property
    def by_position(self) -> bool:
        """Declared positions mean that the file has no header line."""
        return bool(self.declared) and all(name.isdigit() for name in self.declared.values())

    @property
    def required(self) -> tuple[str, ...]:
        return (*REQUIRED, *self.extra)

    def unit(self, name: str) -> float:
        """How much one unit of the file is worth in plain shares or currency."""
        if name in (*PRICES, ADJUSTED_CLOSE):
            return self.units.price
        return {"volume": self.units.volume, "amount": self.units.amount}.get(name, 1.0)


def wanted_columns(config: FilesSource) -> Wanted:
    """The entry's words on columns; unknown fields and half-declared positions are refused."""
    declared = dict(config.columns)
    extra = {"adjusted_close_column": (ADJUSTED_CLOSE,), "factor_column": (FACTOR,)}.get(config.adjustment.kind, ())
    if extra and config.adjustment.column is not None:
        declared[extra[0]] = config.adjustment.column
    unknown = sorted(set(declared) - set(FIELDS))
    if unknown:
        raise FilesMisconfigured(f"columns names the unknown fields {unknown}. Use some of {list(FIELDS)}.")
    wanted = Wanted(declared=declared, units=config.units, extra=extra)
    if wanted.by_position:
        _check_positions(wanted)
    return wanted


def _check_positions(wanted: Wanted) -> None:
    missing = [name for name in wanted.required if name not in wanted.declared]
    places = list(wanted.declared.values())
    if missing or len(set(places)) < len(places) or "0" in places:
        raise FilesMisconfigured(
            f"columns declares positions {wanted.declared}. Files without a header need a different position, "
            f"counted from 1, for each of {list(wanted.required)}."
        )


@cache
def plain_name(name: str) -> str:
    """A column's name without case, filling and bracketed unit."""
    return _FILLING.sub("", _BRACKETED.sub("", name)).strip().casefold()


_FIELD_OF = {plain_name(alias): field_name for field_name, aliases in ALIASES.items() for alias in aliases}
_WEAK_SYMBOLS = frozenset(plain_name(alias) for alias in SYMBOL_IF_NOTHING_ELSE)


@cache
def known_field(name: str) -> str | None:
    """The field a column's name stands for, if it is one anybody uses."""
    known = _FIELD_OF.get(plain_name(name))
    bracketed = _BRACKETED.search(name)
    return known if known is None or bracketed is None or stated_unit(name, known) is not None else None


def stated_unit(name: str, known: str) -> float | None:
    """The unit a header puts in brackets, if it is one that the field can have."""
    found = _BRACKETED.search(name)
    return STATED_UNITS.get(known, {}).get(found.group(1).strip().casefold()) if found else None


def choose_columns(names: Sequence[str], wanted: Wanted) -> dict[str, int]:
    """Field to column position; refused where a field is missing or two columns claim it."""
    chosen = _declared_positions(names, wanted)
    claims: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        known = known_field(name)
        if known is not None and known not in wanted.declared and position not in chosen.values():
            claims.setdefault(known, []).append(position)
    if SYMBOL_COLUMN not in claims and SYMBOL_COLUMN not in chosen:
        weak = [position for position, name in enumerate(names) if plain_name(name) in _WEAK_SYMBOLS]
        claims.update({SYMBOL_COLUMN: weak} if weak else {})
    for known, positions in claims.items():
        if len(positions) > 1:
            both = " and ".join(repr(names[position]) for position in positions)
            raise Unreadable(f"columns {both} both mean {known}. Declare which one under columns: {{{known}: ...}}.")
        chosen[known] = positions[0]
    _require(names, chosen, wanted)
    _check_stated_units(names, chosen, wanted)
    return chosen


def _declared_positions(names: Sequence[str], wanted: Wanted) -> dict[str, int]:
    stripped = [name.strip() for name in names]
    chosen: dict[str, int] = {}
    for known, name in wanted.declared.items():
        count = stripped.count(name.strip())
        if count != 1:
            raise Unreadable(
                f"column {name!r}, declared as {known}, is there {count} times; expected once among {_some(names)}. "
                "Correct columns in the market's entry."
            )
        chosen[known] = stripped.index(name.strip())
    return chosen


def _require(names: Sequence[str], chosen: Mapping[str, int], wanted: Wanted) -> None:
    missing = [known for known in wanted.required if known not in chosen]
    if missing:
        raise Unreadable(
            f"no column for {', '.join(missing)} among {_some(names)}. "
            f"Declare it under columns: {{{missing[0]}: <name in the file>}}, or exclude the file by pattern."
        )


def _check_stated_units(names: Sequence[str], chosen: Mapping[str, int], wanted: Wanted) -> None:
    for known, position in chosen.items():
        stated = stated_unit(names[position], known)
        if stated is not None and stated != wanted.unit(known):
            group = known if known in ("volume", "amount") else "price"
            raise Unreadable(
                f"column {names[position]!r} states units of {stated:g}, but units.{group} is {wanted.unit(known):g}. "
                f"Declare units: {{{group}: {stated:g}}}."
            )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return f"[{shown}{', ...' if len(names) > _SHOWN else ''}]"
