"""How often the whole gate lets a worthless candidate go live, which has to be 5 of 100 or fewer, and a better one.

    python benchmarks/bench_gate.py [--holdouts 300]

Four numbers: by the whole default policy, the same with its gates off, by the bare rule, and the standard error that
chance leaves at 5 of 100. Takes most of an hour. The tables of docs/gate-safety.md come from here.
"""

import argparse

from quant_pipelines.deployment.safety import FIRST, MANY, WORTHLESS, Kind, World, better, first_knowing, passed
from quant_pipelines.strategies import Deployment

SESSIONS = (10, 20, 40, 66)
NAMES = (3, 30, 300)
CORRELATIONS = (0.03, 0.05, 0.1, 0.15, 0.2, 0.3)
# A holdout on which fifty are tried takes as long as fifty.
FEWER = 4
LIMIT = 0.05


def shown(title: str, kind: Kind, holdouts: int) -> None:
    print(title)
    for names in NAMES:
        for sessions in SESSIONS:
            found = passed(kind, World(sessions=sessions, names=names), Deployment(), holdouts=holdouts)
            shares = [each / holdouts for each in (found.whole, found.without_gates, found.as_specified)]
            numbers = "  ".join(f"{each:.3f}" for each in (*shares, found.error(LIMIT)))
            print(f"  {names:3d} names {sessions:2d} sessions  {numbers}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--holdouts", type=int, default=300)
    parser.add_argument("--only", default="", help="Only titles with this in them.")
    chosen = parser.parse_args()
    kinds = {
        **{f"with a champion: {name}": kind for name, kind in WORTHLESS.items()},
        **{f"first model: {name}": kind for name, kind in FIRST.items()},
        **{f"first model, correlation {each}": first_knowing(each) for each in CORRELATIONS},
        **{f"better, correlation {each}": better(each) for each in CORRELATIONS},
    }
    for title, kind in kinds.items():
        if chosen.only in title:
            shown(title, kind, chosen.holdouts // FEWER if kind is WORTHLESS[MANY] else chosen.holdouts)


if __name__ == "__main__":
    main()
