"""One prediction explained, in numbers and in words."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.documents import Entry
from quant_pipelines.explain.attributions import Attributions, Vector
from quant_pipelines.models import Task

# Fewer digits would show every contribution to a day's return as zero.
_SHOWN = "+.3%"
_NAMED = 3


class Contribution(Entry, frozen=True):
    """What one column adds; `value` is the column's own, as the model reads it, None where it is missing."""

    feature: str
    value: float | None
    contribution: float


class LocalExplanation(Entry, frozen=True):
    """One prediction: base + the largest contributions + `rest` of the columns + what is `left` = `score`."""

    symbol: str
    session: str
    outputs: tuple[float, ...]
    score: float
    base: float
    contributions: tuple[Contribution, ...]
    rest: float
    left: float
    words: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Row:
    """One explained row: whose it is, its values in its last session, and the outputs that the model gave."""

    symbol: str
    session: str
    values: NDArray[np.float32]
    outputs: Vector


def local_explanation(score: Attributions, row: Row, *, task: Task, strongest: int) -> LocalExplanation:
    """The explanation of a single row's score."""
    ((contributions,),) = score.values
    order = np.argsort(-np.abs(contributions), kind="stable").tolist()
    shown = [
        Contribution(
            feature=score.columns[place],
            value=None if np.isnan(row.values[place]) else float(row.values[place]),
            contribution=float(contributions[place]),
        )
        for place in order[:strongest]
    ]
    found = LocalExplanation(
        symbol=row.symbol,
        session=row.session,
        outputs=tuple(row.outputs.tolist()),
        score=float(score.predictions[0, 0]),
        base=float(score.base[0]),
        contributions=tuple(shown),
        rest=float(contributions[order[strongest:]].sum()),
        left=float(score.left[0, 0]),
        words="",
    )
    return found.model_copy(update={"words": in_words(found, task)})


def in_words(found: LocalExplanation, task: Task) -> str:
    """The same for people."""
    what = "P(up) - P(down)" if task.kind == "classes" else "Forecast"
    distance = found.score - found.base
    than = f"{abs(distance):.3%} {'above' if distance >= 0 else 'below'} the {found.base:{_SHOWN}} it starts from"
    parts = [
        f"{found.symbol}, {found.session}: {what} {found.score:{_SHOWN}}, {than}.",
        _side("Raised by", [each for each in found.contributions if each.contribution > 0]),
        _side("Lowered by", [each for each in found.contributions if each.contribution < 0]),
        f"All other columns together: {found.rest:{_SHOWN}}." if found.rest else "",
    ]
    return " ".join(part for part in parts if part)


def _side(verb: str, found: list[Contribution]) -> str:
    named = [
        f"{each.feature} ({'missing' if each.value is None else f'{each.value:.4g}'}) {each.contribution:{_SHOWN}}"
        for each in found[:_NAMED]
    ]
    return f"{verb} {', '.join(named)}." if named else ""
