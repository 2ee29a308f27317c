"""A panel as a pyqlib provider folder (daily, bin format), and back without loss."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.errors import DataRejected
from quant_pipelines.features.panel import FIELDS, BarPanel, Sessions

FACTOR = "factor"
Row = NDArray[np.floating[Any]]


class ProviderRefused(DataRejected):
    """The bars do not fit pyqlib's daily bin format, or a folder does not hold it."""

    code: ClassVar[str] = "QP253"


def write_provider(folder: Path, panel: BarPanel, features: Mapping[str, Row] | None = None) -> None:
    """Write calendars, instruments and fields, as float32: pyqlib holds nothing else.

    Every symbol needs a row per session from its first to its last. `features` are further fields of the panel's
    length by name, read in pyqlib as `$name`; a panel with factors has `$factor` too.
    """
    fields = dict(zip(FIELDS, panel.values, strict=True)) | _further(panel, features or {})
    calendar = np.unique(panel.sessions)
    if (calendar != calendar.astype("datetime64[D]")).any():
        raise ProviderRefused("Sessions carry a time of day; the bridge writes daily bars. Keep to daily sessions.")
    folded = [symbol.lower() for symbol in panel.symbols]
    if len(set(folded)) != len(folded):
        raise ProviderRefused("Two symbols differ in case only, and pyqlib folds case. Rename one of them.")
    for name in ("calendars", "instruments"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    days = [str(day) for day in calendar.astype("datetime64[D]")]
    (folder / "calendars" / "day.txt").write_text("".join(f"{day}\n" for day in days))
    lines: list[str] = []
    for symbol, begin, end in zip(panel.symbols, panel.offsets[:-1], panel.offsets[1:], strict=True):
        if begin == end:
            raise ProviderRefused(f"Symbol {symbol} has no session; pyqlib cannot say so. Leave it out.")
        first, last = np.searchsorted(calendar, panel.sessions[[begin, end - 1]])
        if last - first != end - begin - 1:
            raise ProviderRefused(
                f"Symbol {symbol} has {end - begin} rows from {days[first]} to {days[last]}, "
                f"which are {last - first + 1} sessions. Give suspended sessions rows of NaN."
            )
        lines.append(f"{symbol}\t{days[first]}\t{days[last]}\n")
        _write_fields(folder / "features" / symbol.lower(), fields, slice(int(begin), int(end)), int(first))
    (folder / "instruments" / "all.txt").write_text("".join(lines))


def _further(panel: BarPanel, features: Mapping[str, Row]) -> dict[str, Row]:
    further = ({} if panel.factor is None else {FACTOR: panel.factor}) | dict(features)
    names = [*FIELDS, *further]
    folded = [name.lower() for name in names]
    twice = sorted({name for name in names if folded.count(name.lower()) > 1})
    if twice:
        raise ProviderRefused(f"Fields {twice} are one file for pyqlib, which folds case. Rename one of them.")
    return further


def _write_fields(folder: Path, fields: Mapping[str, Row], rows: slice, first: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, row in fields.items():
        with np.errstate(over="ignore"):
            np.append(np.float32(first), row[rows].astype(np.float32)).astype("<f4").tofile(
                folder / f"{name.lower()}.day.bin"
            )


def read_provider(folder: Path) -> BarPanel:
    """The panel of a folder with the six fields, in the order of its instruments."""
    try:
        days = (folder / "calendars" / "day.txt").read_text().split()
        lines = (folder / "instruments" / "all.txt").read_text().splitlines()
    except FileNotFoundError as error:
        raise ProviderRefused(f"{folder} is no pyqlib provider folder: {error.filename} is missing.") from error
    calendar: Sessions = np.array(days, "datetime64[D]").astype("datetime64[us]")
    symbols = tuple(line.split("\t")[0] for line in lines)
    blocks: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
    sessions: list[Sessions] = []
    for symbol in symbols:
        block, first = _read_fields(folder / "features" / symbol.lower(), FIELDS)
        blocks.append(block)
        sessions.append(calendar[first : first + block.shape[1]])
    offsets = np.append(0, np.cumsum([block.shape[1] for block in blocks])).astype(np.int64)
    return BarPanel(np.concatenate(blocks, axis=1), offsets, symbols, np.concatenate(sessions))


def read_provider_fields(folder: Path, panel: BarPanel, names: Sequence[str]) -> dict[str, Row]:
    """Further fields of a folder, in the rows of its panel."""
    blocks = [_read_fields(folder / "features" / symbol.lower(), names)[0] for symbol in panel.symbols]
    return dict(zip(names, np.concatenate(blocks, axis=1), strict=True))


def _read_fields(folder: Path, names: Sequence[str]) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], int]:
    missing = [name for name in names if not (folder / f"{name.lower()}.day.bin").is_file()]
    if missing:
        raise ProviderRefused(f"{folder} has no fields {missing}. Write them with the prices, or ask for others.")
    rows = [np.fromfile(folder / f"{name.lower()}.day.bin", "<f4") for name in names]
    lengths = {row.size for row in rows}
    if len(lengths) != 1 or len({float(row[0]) for row in rows if row.size}) != 1:
        raise ProviderRefused(f"The fields of {folder.name} do not cover the same sessions: lengths {sorted(lengths)}.")
    return np.stack([row[1:] for row in rows]).astype(np.float32), int(rows[0][0])
