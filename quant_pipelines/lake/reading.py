"""Reading a version of a table, and telling what changed between two."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Collection, Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.arrays import SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.lake.failures import UnknownColumn
from quant_pipelines.lake.files import Chosen, LoadedFile
from quant_pipelines.lake.log import Log, Snapshot
from quant_pipelines.lake.sessions import FileReader, Place
from quant_pipelines.lake.values import SessionChange, Window


def places(log: Log, snapshot: Snapshot | None, window: Window) -> dict[Session, Place]:
    """The window's sessions, in order."""
    if snapshot is None:
        return {}
    found = FileReader(log).places(snapshot, snapshot.within(window))
    return {session: found[session] for session in sorted(found) if session in window}


def read(log: Log, snapshot: Snapshot | None, window: Window, chosen: Chosen) -> pa.Table:
    """The window's rows in key order."""
    _require_known(log, chosen)
    wanted = list(chosen.columns)
    fetched = wanted if chosen.symbols is None or SYMBOL in wanted else [*wanted, SYMBOL]
    empty = pa.schema([_field(log, name, chosen.coded) for name in fetched]).empty_table()
    pieces = [] if snapshot is None else _pieces(log, snapshot, window, replace(chosen, columns=fetched))
    return pa.concat_tables([empty, *pieces]).select(wanted)


def _field(log: Log, name: str, coded: Collection[str]) -> pa.Field:
    field = log.schema.arrow.field(name)
    return field.with_type(pa.dictionary(pa.int32(), field.type)) if name in coded else field


def _require_known(log: Log, chosen: Chosen) -> None:
    asked = [*chosen.columns, *(() if chosen.symbols is None else (SYMBOL,))]
    unknown = [name for name in asked if name not in log.schema.names]
    if unknown:
        raise UnknownColumn(log.name, unknown, log.schema.names)


def _pieces(log: Log, snapshot: Snapshot, window: Window, chosen: Chosen) -> list[pa.Table]:
    """The rows in session order, as few long pieces."""
    placed = places(log, snapshot, window)
    reader = FileReader(log)
    held: dict[str, dict[Session, Place]] = {}
    for session, place in placed.items():
        held.setdefault(place.file.path, {})[session] = place
    loaded: dict[str, LoadedFile] = {}
    for path, sessions in held.items():
        entry = next(iter(sessions.values())).file
        loaded[path] = reader.load(snapshot, entry, sessions, chosen)
    pieces = _runs(placed, loaded)
    if chosen.symbols is None:
        return pieces
    names = pa.array(sorted(chosen.symbols), pa.string())
    return [piece.filter(pc.is_in(piece[SYMBOL], names)) for piece in pieces]


def _runs(placed: Mapping[Session, Place], loaded: Mapping[str, LoadedFile]) -> list[pa.Table]:
    """Consecutive sessions that lie side by side in one file, as one slice: many slices are slow to work with."""
    pieces: list[pa.Table] = []
    run: tuple[str, int, int] | None = None
    for session, place in placed.items():
        file = loaded[place.file.path]
        start, count = file.starts[session], file.stored[session].span.count
        if run is not None and run[0] == place.file.path and run[1] + run[2] == start:
            run = (run[0], run[1], run[2] + count)
            continue
        if run is not None:
            pieces.append(loaded[run[0]].rows.slice(run[1], run[2]))
        run = (place.file.path, start, count)
    if run is not None:
        pieces.append(loaded[run[0]].rows.slice(run[1], run[2]))
    return pieces


def changes_between(old: Mapping[Session, str], new: Mapping[Session, str]) -> list[SessionChange]:
    return [
        SessionChange(session, old.get(session), new.get(session))
        for session in sorted(old.keys() | new.keys())
        if old.get(session) != new.get(session)
    ]
