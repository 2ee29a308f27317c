"""`qp incidents`: what failed, and what to do about it."""

from typing import Annotated

import typer
from rich.markup import escape

from quant_pipelines.cli.project import console, open_lake
from quant_pipelines.monitoring import incidents as all_incidents
from quant_pipelines.settings import Settings

_SHOWN, _SHORT = 20, 8
_WHEN = "%Y-%m-%d %H:%M:%S"


def incidents(
    last: Annotated[int, typer.Option(help="How many at most: the newest.", min=1)] = _SHOWN,
) -> None:
    """Failed runs, and schedules or sensors that failed, the newest last: when, where, the code, and why."""
    found = sorted(all_incidents(open_lake(Settings())).to_pylist(), key=lambda each: each["seen_at"])
    if not found:
        console.print("Nothing has failed.")
        return
    for each in found[-last:]:
        where = " / ".join(part for part in (each["job"], each["step"]) if part)
        run = each["run_id"] if each["run_id"].startswith("tick-") else each["run_id"][:_SHORT]
        head = "  ".join(part for part in (f"{each['seen_at']:{_WHEN}}", where, each["code"], run) if part)
        console.print(f"[bold]{escape(head)}[/bold]")
        for line in each["message"].strip().splitlines():
            console.print(f"  {escape(line)}")
    console.print(f"{len(found[-last:])} of {len(found)} incidents.")
