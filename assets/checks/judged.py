"""Rules of ours that judge a table, as asset checks."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import dagster as dg

from assets.metadata import records
from quant_pipelines.digest import digest_json

_SEED_DIGITS = 8


class Rule(Protocol):
    """A rule by name. Downstream waits for the blocking ones."""

    @property
    def name(self) -> str: ...

    @property
    def expects(self) -> str: ...

    @property
    def blocking(self) -> bool: ...


class Broken(Protocol):
    """What was found where a rule does not hold."""

    @property
    def found(self) -> str: ...

    @property
    def examples(self) -> Sequence[Mapping[str, str]]: ...


class Judgement(Protocol):
    """A rule, and what was found where it does not hold."""

    @property
    def rule(self) -> Rule: ...

    @property
    def broken(self) -> Broken | None: ...


def seed_of(context: dg.AssetCheckExecutionContext) -> int:
    """Another run tries other rows; the seed is shown, so that it can be tried again."""
    return int(digest_json(context.run.run_id)[:_SEED_DIGITS], 16)


def check_spec(asset: dg.AssetKey, rule: Rule) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(rule.name, asset=asset, blocking=rule.blocking, description=f"{rule.expects}.")


def check_result(asset: dg.AssetKey, judgement: Judgement, seed: int) -> dg.AssetCheckResult:
    rule, broken = judgement.rule, judgement.broken
    examples = {"examples": records(broken.examples)} if broken is not None and broken.examples else {}
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=rule.name,
        passed=broken is None,
        severity=dg.AssetCheckSeverity.ERROR if rule.blocking else dg.AssetCheckSeverity.WARN,
        description="Held." if broken is None else f"{broken.found} Expected: {rule.expects}.",
        # As text: the UI would plot a number over time.
        metadata={"seed": str(seed), **examples},
    )
