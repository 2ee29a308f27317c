"""A panel as a pyqlib provider folder (daily, bin format), and back without loss."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from quant_pipelines.errors import DataRejected
from quant_pipelines.features.panel import FIELDS, BarPanel, Sessions

_DAY = np.timedelta64(1, "D")


class ProviderRefused(DataRejected):
    """The bars do not fit pyqlib's daily bin format, or a folder does not hold it."""

    code: ClassVar[str] = "QP253"


def write_provider(folder: Path, panel: BarPanel) -> None:
    """Write calendars, instruments and features, as float32: pyqlib holds nothing else.

    Every symbol needs a row per session from its first to its last.
    """
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
        _write_features(folder / "features" / symbol.lower(), panel.values[:, begin:end].astype(np.float32), int(first))
    (folder / "instruments" / "all.txt").write_text("".join(lines))


def _write_features(folder: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], first: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, row in zip(FIELDS, values, strict=True):
        np.append(np.float32(first), row).astype("<f4").tofile(folder / f"{name}.day.bin")


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
        block, first = _read_features(folder / "features" / symbol.lower())
        blocks.append(block)
        sessions.append(calendar[first : first + block.shape[1]])
    offsets = np.append(0, np.cumsum([block.shape[1] for block in blocks])).astype(np.int64)
    return BarPanel(np.concatenate(blocks, axis=1), offsets, symbols, np.concatenate(sessions))


def _read_features(folder: Path) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], int]:
    rows = [np.fromfile(folder / f"{name}.day.bin", "<f4") for name in FIELDS]
    lengths = {row.size for row in rows}
    if len(lengths) != 1 or len({float(row[0]) for row in rows if row.size}) != 1:
        raise ProviderRefused(f"The fields of {folder.name} do not cover the same sessions: lengths {sorted(lengths)}.")
    return np.stack([row[1:] for row in rows]).astype(np.float32), int(rows[0][0])
