"""Trained again, judged again, decided again: whether what is on record comes out a second time."""

from quant_pipelines.reproduction.checks import Check, Outcome, Part, agreement
from quant_pipelines.reproduction.replaying import (
    REPLAY,
    Replay,
    UnknownRun,
    record_replay,
    recorded_replays,
    replay,
    version_of_run,
)
from quant_pipelines.reproduction.reproducing import Reproducer, Reproduction, Verdict
from quant_pipelines.reproduction.retraining import REPLAY_TOLERANCE, Again, BadTolerance, NotTrainableAgain, Retrainer

__all__ = [
    "REPLAY",
    "REPLAY_TOLERANCE",
    "Again",
    "BadTolerance",
    "Check",
    "NotTrainableAgain",
    "Outcome",
    "Part",
    "Replay",
    "Reproducer",
    "Reproduction",
    "Retrainer",
    "UnknownRun",
    "Verdict",
    "agreement",
    "record_replay",
    "recorded_replays",
    "replay",
    "version_of_run",
]
