"""A model version explained on the snapshot that it was trained on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from quant_pipelines.explain.attributions import Attributions, score_is
from quant_pipelines.explain.explainers import explain
from quant_pipelines.explain.families import family_of
from quant_pipelines.explain.importance import ColumnImpact, column_impacts, family_impacts, stability
from quant_pipelines.explain.local import LocalExplanation, Row, local_explanation
from quant_pipelines.explain.question import Question
from quant_pipelines.explain.reference import reference_of
from quant_pipelines.explain.report import Cloud, ExplanationReport, Recency
from quant_pipelines.explain.rows import Chosen, Places, explained_rows, inputs_at, names_of, of_part, row_of, whole
from quant_pipelines.explain.settings import STANDARD, ExplainSettings
from quant_pipelines.models import ONE_THREAD, Forecaster, Machine
from quant_pipelines.snapshots import SnapshotArrays

_CLOUDS = 8


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedVersion:
    """A fitted model, its names, and the snapshot it learned from."""

    model_id: str
    model_name: str
    model: Forecaster
    arrays: SnapshotArrays


def explain_version(
    version: FittedVersion,
    settings: ExplainSettings = STANDARD,
    *,
    chosen: Sequence[Chosen] = (),
    machine: Machine = ONE_THREAD,
) -> ExplanationReport:
    """The report. Without chosen predictions it shows the highest and the lowest one of the newest session."""
    model, arrays = version.model, version.arrays
    rows = explained_rows(arrays, model.settings, settings)
    question = _question(version, rows, settings, machine)
    found = explain(model, question)
    score = found.of_score(model.settings.task)
    values, families = question.inputs.panel(), _families(arrays)
    impacts = column_impacts(score, values, families)
    names = names_of(arrays)
    return ExplanationReport(
        model_id=version.model_id,
        model_name=version.model_name,
        model_kind=model.settings.kind,
        snapshot=arrays.document.id,
        method=found.parts.method,
        score=score_is(model.settings.task),
        settings=asdict(settings),
        rows=len(found),
        first=names[int(question.inputs.sessions.min())],
        last=names[int(question.inputs.sessions.max())],
        base=float(score.base[0]),
        largest_left=found.largest_left,
        tolerance=settings.tolerance,
        columns=tuple(impacts),
        families=tuple(family_impacts(score, families)),
        stability=stability(score, question.inputs.sessions, names, settings.folds),
        recency=_recency(score),
        clouds=tuple(_clouds(score, values, impacts)),
        local=tuple(_local(version, question, chosen)),
    )


def _question(version: FittedVersion, rows: Places, settings: ExplainSettings, machine: Machine) -> Question:
    train = of_part(version.arrays, version.model.settings, "train")
    return Question(
        inputs=inputs_at(version.arrays, version.model.settings, rows),
        reference=reference_of(inputs_at(version.arrays, version.model.settings, train), settings),
        settings=settings,
        machine=machine,
    )


def _families(arrays: SnapshotArrays) -> list[str]:
    return [family_of(each.name, each.table) for each in arrays.document.recipe.features]


def _recency(score: Attributions) -> Recency | None:
    sessions = score.parts.sessions
    told = None if sessions is None else sessions[~np.isnan(sessions).any(axis=(1, 2)), 0]
    if told is None or not len(told):
        return None
    return Recency(importance=tuple(np.abs(told).mean(axis=0).tolist()))


def _clouds(score: Attributions, values: np.ndarray, impacts: Sequence[ColumnImpact]) -> list[Cloud]:
    """The strongest columns, point by point."""
    found = list[Cloud]()
    for each in impacts[:_CLOUDS]:
        place = score.columns.index(each.feature)
        known = ~np.isnan(values[:, place])
        cloud = values[known, place].tolist(), score.values[known, 0, place].tolist()
        found.append(Cloud(feature=each.feature, values=tuple(cloud[0]), contributions=tuple(cloud[1])))
    return found


def _local(version: FittedVersion, question: Question, chosen: Sequence[Chosen]) -> list[LocalExplanation]:
    model, arrays = version.model, version.arrays
    rows = [row_of(arrays, model.settings, each) for each in chosen] or _extremes(version, question.machine)
    if not rows:
        return []
    asked = Question(
        inputs=inputs_at(arrays, model.settings, np.array(rows, np.int64)),
        reference=question.reference,
        settings=question.settings,
        machine=question.machine,
    )
    found, names = explain(model, asked), names_of(arrays)
    return [
        local_explanation(
            found.rows(slice(place, place + 1)).of_score(model.settings.task),
            Row(
                symbol=str(arrays.symbols[arrays.symbol_of(np.array([row]))[0]]),
                session=names[int(arrays.session[row])],
                values=arrays.block[row],
                outputs=found.predictions[place],
            ),
            task=model.settings.task,
            strongest=question.settings.strongest,
        )
        for place, row in enumerate(rows)
    ]


def _extremes(version: FittedVersion, machine: Machine) -> list[int]:
    """The rows of the newest session with the highest and the lowest score."""
    arrays, settings = version.arrays, version.model.settings
    members = np.flatnonzero(arrays.member)
    rows = whole(arrays, settings, members)
    rows = rows[arrays.session[rows] == arrays.session[rows].max(initial=-1)]
    if not rows.size:
        return []
    score = settings.task.signal(version.model.predict(inputs_at(arrays, settings, rows), machine))
    return [int(rows[place]) for place in dict.fromkeys((int(np.argmax(score)), int(np.argmin(score))))]
