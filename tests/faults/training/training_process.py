"""Trains a snapshot on behalf of a run of Dagster's, holds that run's lease meanwhile, and dies at a step.

Arguments: home, folder of the market, snapshot, run of Dagster's, the step to die at.
"""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from quant_pipelines.snapshots import load
from quant_pipelines.training import Progress, order_for
from resources.lease import held_lease
from resources.models import RUN_TAG
from tests.homes import Home
from tests.unit.snapshots.conftest import Scene, strategy

QUICK = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 6, "num_leaves": 4}}
CHANGES = {"model": QUICK, "label_set": "qlib_return", "training": {"window": {"sessions": 150}}}


def main(home: str, market: str, snapshot: str, run_id: str, kill_at: int) -> None:
    store = Scene(Path(market)).store
    document = store.document(snapshot)

    def listener(progress: Progress) -> None:
        if progress.step is not None and progress.step.number == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    with held_lease(Path(home) / "leases", run_id):
        trainer = Home(Path(home)).trainer(listener=listener, tags={RUN_TAG: run_id})
        trainer.train(order_for(strategy(**CHANGES), document, code_version="test"), document, load(store, document))


if __name__ == "__main__":
    main(*sys.argv[1:5], kill_at=int(sys.argv[5]))
