"""The one door to Great Expectations."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from quant_pipelines.errors import DependencyFailed
from quant_pipelines.quality.checks import Check, Unique
from quant_pipelines.quality.facts import Facts
from quant_pipelines.quality.frame import Frame
from quant_pipelines.quality.rules import Rule, Severity


class SuiteFailed(DependencyFailed):
    """Great Expectations could not evaluate an expectation, so its answer is neither yes nor no."""

    code = "QP232"

    def __init__(self, view: str, kind: str, reason: str) -> None:
        super().__init__(
            f"Great Expectations could not evaluate {kind} on {view}: {reason}. "
            "Every expectation must be evaluated; try again, and report it if it stays."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What Great Expectations said of one expectation. `share` is a fraction of the rows it looked at."""

    kind: str
    columns: tuple[str, ...]
    success: bool
    unexpected: int
    rows: int

    @property
    def share(self) -> float:
        return self.unexpected / self.rows if self.rows else 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "columns": list(self.columns),
            "success": self.success,
            "unexpected": self.unexpected,
            "rows": self.rows,
            "share": self.share,
        }


def library() -> Any:
    """Great Expectations, imported when first needed: it takes seconds and hundreds of megabytes."""
    with warnings.catch_warnings():
        # 1.24.1 imports sre_constants and google.api_core, which complain about themselves.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", ImportWarning)
        import great_expectations

        return great_expectations


class Suite:
    """An ephemeral context: in memory, silent, gone when left."""

    def __enter__(self) -> Self:
        gx = library()
        from great_expectations.data_context.data_context.context_factory import project_manager
        from great_expectations.data_context.types.base import (
            DataContextConfig,
            InMemoryStoreBackendDefaults,
            ProgressBarsConfig,
        )

        settings = DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            progress_bars=ProgressBarsConfig(globally=False),
            analytics_enabled=False,
        )
        self._gx, self._projects = gx, project_manager
        self._before = _current(project_manager)
        self._source = gx.get_context(mode="ephemeral", project_config=settings).data_sources.add_pandas("rows")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The library keeps its newest context, and with it the rows, until the process ends; and a notebook
        # may have had one of its own.
        self._projects.set_project(self._before)

    def run(self, view: str, frame: Frame, rules: Sequence[Rule], facts: Facts) -> list[tuple[Outcome, ...]]:
        """The rules' outcomes, check by check, on the rows of one view."""
        checks = [(rule, check) for rule in rules for check in rule.checks]
        pairs = [(str(position), rule, check) for position, (rule, check) in enumerate(checks)]
        expectations = [self._expectation(rule, check, facts, mark) for mark, rule, check in pairs]
        results = self._results(view, frame, [check for _, check in checks], expectations)
        outcomes = {mark: _outcome(view, results[mark], check, frame.rows) for mark, _, check in pairs}
        return [tuple(outcomes[mark] for mark, owner, _ in pairs if owner is rule) for rule in rules]

    def _expectation(self, rule: Rule, check: Check, facts: Facts, mark: str) -> Any:
        from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
        from great_expectations.expectations.metadata_types import FailureSeverity

        declared = check.expectation(facts)
        # Results come back in the library's own order; the mark says whose they are.
        return ExpectationConfiguration(
            type=declared.kind,
            kwargs=dict(declared.arguments),
            meta={"mark": mark, "rule": rule.name},
            severity=FailureSeverity.CRITICAL if rule.severity is Severity.HARD else FailureSeverity.WARNING,
        ).to_domain_obj()

    def _results(self, view: str, frame: Frame, checks: Sequence[Check], expectations: Sequence[Any]) -> dict[str, Any]:
        asset = self._source.add_dataframe_asset(view)
        rows = {"dataframe": _as_pandas(frame, checks)}
        batch = asset.add_batch_definition_whole_dataframe(view).get_batch(rows)
        suite = self._gx.ExpectationSuite(name=view, expectations=list(expectations))
        # Examples are written by the rules themselves; the library's would sort every unexpected value.
        asked = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
        results = batch.validate(suite, result_format=asked).results
        return {result.expectation_config.meta["mark"]: result for result in results}


def _current(projects: Any) -> Any:
    from great_expectations.exceptions.exceptions import DataContextError

    try:
        return projects.get_current_project()
    except DataContextError:
        return None


def _as_pandas(frame: Frame, checks: Sequence[Check]) -> Any:
    """Only the columns that the checks name."""
    names = sorted({name for check in checks for name in check.columns})
    keys = {name for check in checks if isinstance(check, Unique) for name in check.columns}
    columns = {
        name: frame.table[name].dictionary_encode() if name in keys and _is_text(frame, name) else frame.table[name]
        for name in names
    }
    return pa.table(columns).to_pandas()


def _is_text(frame: Frame, name: str) -> bool:
    return pa.types.is_string(frame.table[name].type)


def _outcome(view: str, result: Any, check: Check, rows: int) -> Outcome:
    if result.exception_info.get("raised_exception", True):
        raise SuiteFailed(view, result.expectation_config.type, str(result.exception_info))
    return Outcome(
        kind=result.expectation_config.type,
        columns=check.columns,
        success=bool(result.success),
        unexpected=int(result.result.get("unexpected_count", 0)),
        rows=rows,
    )
