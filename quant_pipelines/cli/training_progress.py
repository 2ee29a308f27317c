"""`qp models progress`: how far trainings are."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from quant_pipelines.cli.project import console
from quant_pipelines.clock import SystemClock
from quant_pipelines.registry import open_tracker
from quant_pipelines.settings import Settings
from quant_pipelines.training import TRAINING_ID, ModelInfo, model_info


def progress(
    training: Annotated[str | None, typer.Argument(help="A training's id; default: all that run now.")] = None,
) -> None:
    """How far a training is, or how it ended; without an id, those that run now."""
    tracker = open_tracker(Settings(), clock=SystemClock())
    if training is not None:
        info = model_info(tracker, training)
        _tell(info)
        _show_log(info)
        return
    running = sorted(set(tracker.running(TRAINING_ID).values()))
    for each in running:
        _tell(model_info(tracker, each))
    if not running:
        console.print("No training runs now.")


def _tell(info: ModelInfo) -> None:
    told = info.error_message or info.message or "nothing was told yet"
    console.print(f"{info.model_name}, {info.training_stage} at {info.training_progress:.1f} %: {told}", markup=False)
    console.print(f"  {info.model_id}")


def _show_log(info: ModelInfo) -> None:
    shown = Table("when (UTC)", "stage", "percent", "what")
    for line in info.training_log:
        shown.add_row(f"{line.at:%Y-%m-%d %H:%M:%S}", line.stage, f"{line.percent:.1f}", escape(line.message))
    console.print(shown)
    console.print(info.page, markup=False)
