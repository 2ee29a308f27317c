"""Nets against pyqlib's classes: equal net, batch size, rows and machine. An epoch is its training and its judging.

    python benchmarks/bench_nets.py [--symbols 160] [--sessions 100]

pyqlib judges the training rows once more after each epoch; here their loss is that of the training itself. Ratios are
of CPU time on one thread, without processes that load data. Ours and pyqlib's run in turn, and the ratio is the median
of those of the pairs, so that what else the machine does meets both.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from qlib.contrib.model.pytorch_lstm_ts import LSTM
from qlib.contrib.model.pytorch_tcn_ts import TCN
from qlib.contrib.model.pytorch_transformer_ts import TransformerModel
from qlib.data.dataset import TSDataSampler
from synthetic_market import measure, verdict
from torch.utils.data import DataLoader

from quant_pipelines.models import MODEL_KINDS, Examples, Fitting, Inputs, Task
from quant_pipelines.models.neural.rows import rows_of

LENGTH, COLUMNS = 20, 20
NAMES = tuple(f"feature{at}" for at in range(COLUMNS))


@dataclass(frozen=True)
class Panel:
    """Symbols side by side, each with the sessions before the first one that is learned from."""

    block: np.ndarray
    label: np.ndarray
    symbols: int
    sessions: int
    learned: int

    @classmethod
    def drawn(cls, symbols: int, sessions: int) -> "Panel":
        chance = np.random.default_rng(3)
        block = chance.standard_normal((symbols * sessions, COLUMNS)).astype(np.float32)
        label = (0.01 * (block[:, 0] + chance.standard_normal(len(block)))).astype(np.float32)
        return cls(block, label, symbols, sessions, LENGTH + 2 * (sessions - LENGTH) // 3)

    def examples(self, first: int, end: int) -> Examples:
        """The rows of some sessions, session by session."""
        session = np.repeat(np.arange(first, end), self.symbols)
        ends = session + np.tile(np.arange(self.symbols), end - first) * self.sessions
        inputs = Inputs(block=self.block, ends=ends, sessions=session, columns=NAMES, length=LENGTH)
        return Examples(inputs=inputs, target=self.label[ends][:, None])

    @property
    def halves(self) -> tuple[Examples, Examples]:
        return self.examples(LENGTH - 1, self.learned), self.examples(self.learned, self.sessions)

    def prepare(self, segment: str, **_chosen: Any) -> TSDataSampler:
        """The same rows as pyqlib's dataset gives them: this is all its classes ask of one."""
        days = pd.date_range("2020-01-01", periods=self.sessions)
        index = pd.MultiIndex.from_product([days, range(self.symbols)], names=["datetime", "instrument"])
        by_day = np.column_stack([self.block, self.label]).reshape(self.symbols, self.sessions, -1).swapaxes(0, 1)
        table = pd.DataFrame(by_day.reshape(len(index), -1), index, [*NAMES, "label"])
        first, last = (LENGTH - 1, self.learned - 1) if segment == "train" else (self.learned, self.sessions - 1)
        sampler = TSDataSampler(table, days[first], days[last], step_len=LENGTH)
        sampler.config(fillna_type="ffill+bfill")
        return sampler


def supply(panel: Panel, batch: int) -> None:
    """One pass over the training rows in random batches, and nothing done with them."""
    train, _ = panel.halves
    rows = rows_of(train.inputs, torch.device("cpu"))
    sampler = panel.prepare("train")
    assert len(sampler) == len(train)

    def ours() -> None:
        for chosen in torch.randperm(len(rows)).split(batch):
            rows.sequences(chosen)

    _wall, gathered = measure(ours)
    _wall, loaded = measure(lambda: list(DataLoader(sampler, batch_size=batch, shuffle=True)), rounds=1)
    print(f"a row of {LENGTH} x {COLUMNS}: gathered {gathered / len(train) * 1e6:.2f} us, ", end="")
    print(f"by DataLoader and pyqlib's sampler {loaded / len(train) * 1e6:.1f} us")
    verdict("rows supplied, pyqlib's time over ours", loaded / gathered, 20, at_least=True)


class Prepared:
    """A dataset whose samplers are made before the clock runs."""

    def __init__(self, panel: Panel) -> None:
        self._samplers = {segment: panel.prepare(segment) for segment in ("train", "valid")}

    def prepare(self, segment: str, **_chosen: Any) -> TSDataSampler:
        return self._samplers[segment]


def epoch(kind: str, panel: Panel, theirs: Any, chosen: dict[str, Any], *, promised: float, pairs: int) -> None:
    """One epoch of ours and of pyqlib's class, what both need before it included."""
    spec, (train, validation) = MODEL_KINDS[kind], panel.halves
    settings = spec.settings(Task(), NAMES, chosen={"n_epochs": 1, **chosen})
    dataset = Prepared(panel)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "best")
        torch.set_num_threads(1)
        ours, qlibs = in_turn(
            lambda: spec.make(settings, None).fit(train, validation, Fitting()),
            lambda: theirs.fit(dataset, save_path=path),
            pairs=pairs,
        )
    rows, ratios = len(train) + len(validation), [each / our for our, each in zip(ours, qlibs, strict=True)]
    print(f"{kind}, {rows:,} rows, {pairs} pairs: ours {median(ours) / rows * 1e6:.0f} us a row, ", end="")
    print(f"pyqlib's {median(qlibs) / rows * 1e6:.0f}; ratios {min(ratios):.2f} to {max(ratios):.2f}")
    verdict(f"an epoch of {kind}, pyqlib's time over ours", median(ratios), promised, at_least=True)


def in_turn(first: Callable[[], Any], second: Callable[[], Any], *, pairs: int) -> tuple[list[float], list[float]]:
    """CPU seconds of both, after one run of each that compiles and imports."""
    found = [(_cpu(first), _cpu(second)) for _ in range(pairs + 1)][1:]
    return [each for each, _ in found], [each for _, each in found]


def _cpu(work: Callable[[], Any]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def quantised(kind: str, panel: Panel) -> None:
    """What weights of 8 bits change in a net of the kind's own size."""
    spec, (train, validation) = MODEL_KINDS[kind], panel.halves
    models = []
    for chosen in (False, True):
        settings = spec.settings(Task(), NAMES, chosen={"n_epochs": 3, "quantise": chosen})
        models.append(spec.make(replace(settings, length=LENGTH), None))
        models[-1].fit(train, validation, Fitting())
    (exact, near), rows = (model.predict(validation.inputs)[:, 0] for model in models), len(validation)
    sizes = [sum(map(len, model.state().values())) for model in models]
    times = [measure(lambda model=model: model.predict(validation.inputs))[1] / rows * 1e6 for model in models]
    print(f"{kind}: {sizes[0]:,} bytes, quantised {sizes[1]:,}; ", end="")
    print(f"{times[0]:.1f} us a row, quantised {times[1]:.1f}; ", end="")
    print(f"correlation {np.corrcoef(exact, near)[0, 1]:.6f}, ", end="")
    print(f"largest change {np.abs(near - exact).max() / exact.std():.3f} of the spread of predictions")
    verdict(f"the file of {kind}, plain over quantised", sizes[0] / sizes[1], 2, at_least=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=160)
    parser.add_argument("--sessions", type=int, default=100)
    chosen = parser.parse_args()
    panel = Panel.drawn(chosen.symbols, chosen.sessions)
    # The first optimizer of a process imports half of PyTorch.
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    supply(panel, 800)
    lstm = LSTM(d_feat=COLUMNS, hidden_size=64, num_layers=2, dropout=0.1, n_epochs=1, batch_size=800, GPU=-1, n_jobs=0)
    epoch("lstm", panel, lstm, {"batch_size": 800}, promised=2, pairs=7)
    fewer = Panel.drawn(chosen.symbols // 8, chosen.sessions)
    transformer = TransformerModel(
        d_feat=COLUMNS, d_model=64, nhead=8, num_layers=3, dropout=0.1, n_epochs=1, batch_size=512, GPU=-1, n_jobs=0
    )
    epoch("transformer", fewer, transformer, {"batch_size": 512}, promised=1, pairs=5)
    tcn = TCN(
        d_feat=COLUMNS, n_chans=128, kernel_size=5, num_layers=5, dropout=0.5, n_epochs=1, batch_size=512, GPU=-1,
        n_jobs=0,
    )  # fmt: skip
    epoch("tcn", fewer, tcn, {"batch_size": 512}, promised=3, pairs=3)
    for kind in ("mlp", "lstm", "transformer", "tcn", "tft"):
        quantised(kind, fewer)


if __name__ == "__main__":
    main()
