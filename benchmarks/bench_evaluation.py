"""A comparison of two models with its intervals, against measuring every resample's rows again.

    python benchmarks/bench_evaluation.py [--sessions 66] [--symbols 5000] [--resamples 2000]

The slow way is timed on some of the resamples. Ratios are of CPU time; quote wall figures from a quiet machine only.
"""

import argparse
from dataclasses import replace

import numpy as np
from synthetic_market import measure, verdict

from quant_pipelines.evaluation.bootstrap import Resampling, drawn, times_drawn
from quant_pipelines.evaluation.comparing import Scored, compared
from quant_pipelines.evaluation.metrics import Judged
from quant_pipelines.evaluation.sums import holdout_measures, measures_for, session_sums
from quant_pipelines.models import Task

SLOWLY = 3


def scored(version: str, value: np.ndarray, seed: int) -> Scored:
    sessions, symbols = value.shape
    forecasts = 0.05 * value + 0.01 * np.random.default_rng(seed).standard_normal(value.shape)
    judged = Judged(
        task=Task(),
        predictions=forecasts.reshape(-1, 1).astype(np.float32),
        target=value.reshape(-1, 1).astype(np.float32),
        value=value.ravel(),
        sessions=np.repeat(np.arange(sessions), symbols),
    )
    return Scored(version=version, version_id=version, judged=judged)


def redrawn(judged: Judged, places: np.ndarray, symbols: int) -> Judged:
    """The rows of these sessions, each copy a session of its own."""
    rows = (places[:, None] * symbols + np.arange(symbols)).ravel()
    parts = {name: getattr(judged, name)[rows] for name in ("predictions", "target", "value")}
    return replace(judged, **parts, sessions=np.repeat(np.arange(places.size), symbols))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=66)
    parser.add_argument("--symbols", type=int, default=5000)
    parser.add_argument("--resamples", type=int, default=2000)
    chosen = parser.parse_args()
    chance = np.random.default_rng(7)
    value = 0.02 * chance.standard_normal((chosen.sessions, chosen.symbols))
    pair = scored("candidate", value, 1), scored("champion", value, 2)
    resampling = Resampling(seed=1, span_sessions=1, resamples=chosen.resamples)
    draws = drawn(chosen.sessions, resampling)

    found: list[dict[str, float | None]] = []

    def slowly() -> None:
        found[:] = [
            holdout_measures(redrawn(each.judged, places, chosen.symbols)) for places in draws[:SLOWLY] for each in pair
        ]

    wall, fast = measure(lambda: compared(*pair, resampling))
    measuring = measure(lambda: [session_sums(each.judged) for each in pair])[1]
    slow = measure(slowly, rounds=1)[1] / SLOWLY * chosen.resamples
    rows = value.size
    print(f"{rows:,} rows, {chosen.resamples:,} resamples, two models, every measure and gain: {wall:.2f} s wall")
    print(f"of its CPU time, measuring once: {measuring / fast:.0%}")
    verdict("measuring every resample again, over drawing sums", slow / fast, 100, at_least=True)
    times = times_drawn(chosen.sessions, resampling)[:SLOWLY]
    sums = {name: times @ each for name, each in session_sums(pair[0].judged).items()}
    apart = max(
        float(np.max(np.abs(measured(sums) - np.array([each[name] for each in found[::2]], np.float64))))
        for name, measured in measures_for("numbers").items()
    )
    verdict("how far the two ways are apart", apart, 1e-9, at_least=False)


if __name__ == "__main__":
    main()
