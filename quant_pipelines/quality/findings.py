"""Judging raw bars row by row, and the rows that are held out with their reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from quant_pipelines.lake.tables import QUARANTINE, RAW_BARS
from quant_pipelines.quality.checks import BoolArray
from quant_pipelines.quality.examples import examples_of
from quant_pipelines.quality.facts import Facts
from quant_pipelines.quality.frame import Frame
from quant_pipelines.quality.rules import Frames, Rule, Severity, Verdict
from quant_pipelines.quality.shape import WrongColumns
from quant_pipelines.quality.text import rows_as_json

PROVENANCE = frozenset(column.name for column in RAW_BARS.columns if not column.identity)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Which rows broke which rules. Masks are aligned with the rows that were judged."""

    raw: pa.Table
    verdicts: tuple[tuple[Verdict, Frame], ...]

    @property
    def rows(self) -> int:
        return self.raw.num_rows

    @cached_property
    def masks(self) -> Mapping[str, BoolArray]:
        """Rule name to the rows that broke it."""
        return {verdict.rule.name: verdict.mask for verdict, _ in self.verdicts}

    @cached_property
    def hard(self) -> BoolArray:
        """Rows that broke a hard rule; they may be in no checked table."""
        broken = np.zeros(self.rows, dtype=np.bool_)
        for rule in self._rules(Severity.HARD):
            broken |= self.masks[rule.name]
        return broken

    @property
    def hard_rows(self) -> int:
        return int(self.hard.sum())

    def hard_counts(self) -> dict[str, int]:
        """Broken hard rules and their rows; a row may break several."""
        return self._counts(Severity.HARD)

    def soft_counts(self) -> dict[str, int]:
        return self._counts(Severity.SOFT)

    def table(self) -> list[dict[str, str | int]]:
        """Broken rules for display: name, severity, rows, what is expected, one example."""
        return [
            {
                "rule": verdict.rule.name,
                "severity": verdict.rule.severity.value,
                "rows": int(self.masks[verdict.rule.name].sum()),
                "expected": verdict.rule.expects,
                "example": examples_of(verdict, frame, count=1)[0],
            }
            for verdict, frame in self.verdicts
            if self.masks[verdict.rule.name].any()
        ]

    def quarantine_rows(self) -> pa.Table:
        """One row per held-out bar and hard rule, sorted, in the schema of `quarantine`."""
        broken = np.flatnonzero(self.hard)
        if not broken.size:
            return QUARANTINE.arrow.empty_table()
        held_out = self.raw.take(pa.array(broken))
        # Who delivered the row and when stands beside it: equal bad rows must have equal ids however often they come.
        texts = rows_as_json(held_out.select([name for name in held_out.column_names if name not in PROVENANCE]))
        pieces = [
            _quarantined(verdict, frame, texts.take(pa.array(np.searchsorted(broken, chosen))))
            for verdict, frame in self.verdicts
            if verdict.rule.severity is Severity.HARD and (chosen := np.flatnonzero(self.masks[verdict.rule.name])).size
        ]
        return pa.concat_tables(pieces).sort_by([(name, "ascending") for name in QUARANTINE.key])

    def _rules(self, severity: Severity) -> list[Rule]:
        return [verdict.rule for verdict, _ in self.verdicts if verdict.rule.severity is severity]

    def _counts(self, severity: Severity) -> dict[str, int]:
        counts = {rule.name: int(self.masks[rule.name].sum()) for rule in self._rules(severity)}
        return {name: count for name, count in counts.items() if count}


def judge(raw: pa.Table, rules: Sequence[Rule], facts: Facts) -> Findings:
    """Hold every raw bar against the row rules. A table of the wrong shape is refused as a whole."""
    frames = Frames(raw, facts)
    for rule in rules:
        if not rule.view.by_row:
            _require_whole(rule.judge(frames.of(rule.view), facts), frames.of(rule.view))
    row_rules = [rule for rule in rules if rule.view.by_row]
    return Findings(
        raw=raw,
        verdicts=tuple((rule.judge(frames.of(rule.view), facts), frames.of(rule.view)) for rule in row_rules),
    )


def _require_whole(verdict: Verdict, frame: Frame) -> None:
    if verdict.rule.severity is Severity.HARD and verdict.mask.any():
        raise WrongColumns(examples_of(verdict, frame, count=frame.rows))


def _quarantined(verdict: Verdict, frame: Frame, texts: pa.Array) -> pa.Table:
    chosen = np.flatnonzero(verdict.mask)
    rows = frame.table.take(pa.array(chosen))
    columns: dict[str, Any] = {
        **{name: rows[name] for name in ("session", "symbol", "occurrence", "source", "fetched_at")},
        "rule": pa.repeat(pa.scalar(verdict.rule.name), rows.num_rows),
        "reason": verdict.reasons(rows, chosen),
        "row": texts,
    }
    return pa.table([columns[name] for name in QUARANTINE.names], schema=QUARANTINE.arrow)
