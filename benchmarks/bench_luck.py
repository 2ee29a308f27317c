"""How often two equal models are told apart, which has to be 0.05 of cases or less, and two that are not equal.

    python benchmarks/bench_luck.py [--pairs 500]

Shares of luck up to 0.05: the highest of the worlds with 1, 3 and 30 names; where models are not equal, each of them.
Takes some minutes. The tables of docs/evaluation.md come from here.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from quant_pipelines.evaluation import Judged, Resampling, Scored, compared
from quant_pipelines.models import Task

LUCKY = 0.05
SESSIONS = (10, 20, 40, 66)
NAMES = (1, 3, 30)
MARKET = 0.3
BEFORE = 60


@dataclass(frozen=True, kw_only=True)
class World:
    """How much outcomes and calls remember of the session before, and over how many sessions a label runs.

    `alike`: one call for all names. `right`: the share of rows in which the first model calls the sign; None: it flips
    coins like the second.
    """

    outcomes: float
    calls: float
    span: int = 1
    alike: bool = False
    right: float | None = None


WORLDS = {
    "coin flips": World(outcomes=0.0, calls=0.0),
    "coin flips on outcomes that remember": World(outcomes=0.3, calls=0.0),
    "calls that last, on outcomes that remember": World(outcomes=0.3, calls=0.8),
    "calls that last, labels of 5 sessions": World(outcomes=0.0, calls=0.8, span=5),
    "the same call for all names, labels of 5 sessions": World(outcomes=0.0, calls=0.8, span=5, alike=True),
    "not equal: right in 55 of 100 rows": World(outcomes=0.0, calls=0.0, right=0.55),
    "not equal: right in 60 of 100 rows": World(outcomes=0.0, calls=0.0, right=0.6),
}


def remembering(shocks: np.ndarray, share: float) -> np.ndarray:
    for at in range(1, len(shocks)):
        shocks[at] = share * shocks[at - 1] + np.sqrt(1 - share**2) * shocks[at]
    return shocks


def outcomes(world: World, chance: np.random.Generator, sessions: int, names: int) -> np.ndarray:
    steps = sessions + world.span + BEFORE
    together, alone = chance.standard_normal((steps, 1)), chance.standard_normal((steps, names))
    paths = np.cumsum(remembering(np.sqrt(MARKET) * together + np.sqrt(1 - MARKET) * alone, world.outcomes), axis=0)
    return 0.01 * (paths[world.span :] - paths[: -world.span])[-sessions:]


def calls(world: World, chance: np.random.Generator, sessions: int, names: int) -> np.ndarray:
    made = remembering(chance.standard_normal((sessions + BEFORE, 1 if world.alike else names)), world.calls)
    return 0.01 * np.broadcast_to(made[-sessions:], (sessions, names))


def knowing(world: World, chance: np.random.Generator, value: np.ndarray) -> np.ndarray:
    """Calls that are right as often as the world says."""
    return 0.01 * np.where(chance.random(value.shape) < world.right, np.sign(value), -np.sign(value))


def told_apart(world: World, sessions: int, names: int, pairs: int) -> dict[str, float]:
    chance = np.random.default_rng([sessions, names])
    found: dict[str, list[bool]] = {}
    for seed in range(pairs):
        value = outcomes(world, chance, sessions, names)
        forecasts = [calls(world, chance, sessions, names) for _ in range(2)]
        if world.right is not None:
            forecasts[0] = knowing(world, chance, value)
        two = [
            Scored(
                version=str(number),
                version_id="",
                judged=Judged(
                    task=Task(),
                    predictions=each.reshape(-1, 1).astype(np.float32),
                    target=value.reshape(-1, 1).astype(np.float32),
                    value=value.ravel(),
                    sessions=np.repeat(np.arange(sessions), names),
                ),
            )
            for number, each in enumerate(forecasts)
        ]
        _, _, gains, ratio = compared(*two, Resampling(seed=seed, span_sessions=world.span, resamples=200))
        for name, gain in {**gains, "mse_ratio": ratio}.items():
            if gain is not None and gain.luck is not None:
                found.setdefault(name, []).append(gain.luck <= LUCKY)
    return {name: float(np.mean(each)) for name, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=500)
    chosen = parser.parse_args()
    for title, world in WORLDS.items():
        print(title)
        for sessions in SESSIONS:
            each = [told_apart(world, sessions, names, chosen.pairs) for names in NAMES]
            if world.right is not None:
                print(
                    f"  {sessions} sessions: balanced_f1", ", ".join(f"{shares['balanced_f1']:.2f}" for shares in each)
                )
                continue
            highest: dict[str, float] = {}
            for name, share in (pair for shares in each for pair in shares.items()):
                highest[name] = max(highest.get(name, 0.0), share)
            print(
                f"  {sessions} sessions:", ", ".join(f"{name} {share:.3f}" for name, share in highest.items()) or "null"
            )


if __name__ == "__main__":
    main()
