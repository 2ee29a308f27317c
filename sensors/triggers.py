"""Trainings that start by themselves: at the end of a week, month or quarter, and when predictions decay.

Stopped until somebody switches it on: what it starts keeps a machine busy for hours.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG, PRIORITY_TAG

from assets.features import registry_of
from assets.holdout import INCREMENTAL
from assets.keys import HOLDOUT_EVALUATION, MODEL, SEARCH, SNAPSHOT
from assets.launchpad import FROM_SEARCH
from assets.search import OR_OWN, SECONDS, TRIALS
from assets.snapshots import MONTHS, SESSION, STRATEGY
from quant_pipelines.calendars import Session, parse_session, partition_key, session_key
from quant_pipelines.clock import Clock, SystemClock
from quant_pipelines.markets import Market
from quant_pipelines.strategies import Retrain, Strategy
from quant_pipelines.triggers import Checker, ModelInputs, Outcome, Recorded, Started, Watch, started_as, told
from resources.lake import LakeResource
from resources.triggers import TriggersResource
from sensors.jobs import MARKET_TAG, train_job_name, training_jobs, tune_job_name

SECONDS_BETWEEN_LOOKS = 60
TRIGGER_TAG, REASONS_TAG, MODE_TAG = "trigger", "trigger_reasons", "mode"
# Of the time that the run may take, what the search may spend; the rest is for the training and what follows it.
TUNING_SHARE = 0.5
# What the trigger asks for in full.
STARTED_TAG = "quant_pipelines/started"


def trigger_sensor_name(market: Market) -> str:
    return f"triggers_of_{market.name}"


def trigger_sensors(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.SensorDefinition]:
    """One for each market that has strategies."""
    return [trigger_sensor(market, strategies, clock=SystemClock())] if strategies else []


def trigger_sensor(market: Market, strategies: Mapping[str, Strategy], *, clock: Clock) -> dg.SensorDefinition:
    """Ask every strategy, once after each session, whether it is time to train again."""

    @dg.sensor(
        name=trigger_sensor_name(market),
        jobs=training_jobs(market),
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Trains the strategies of {market.name} at the end of a week, month or quarter, and when their "
        "predictions decay. Looks once after each session, when prices, features and labels are there.",
    )
    def triggers(
        context: dg.SensorEvaluationContext, lake: LakeResource, triggers: TriggersResource
    ) -> dg.SensorResult:
        store, policies = lake.open(), triggers.policies()
        watch = Watch(
            checker=Checker(
                market=market,
                journal=triggers.journal(),
                retrain_of=policies,
                errors_of=triggers.errors(store),
            ),
            inputs_of=ModelInputs(store, market, registry_of(market)).there,
            actor=f"sensor:{trigger_sensor_name(market)}",
        )
        before = sessions_of(context.cursor)
        closed = market.sessions_calendar.last_closed(clock.now())
        outcome = watch.look(list(strategies.values()), before, closed)
        for each in outcome.recorded:
            context.log.info(told(each.audit))
        requests = [
            request(market, each, policies(strategies[each.audit.strategy]))
            for each in outcome.recorded
            if each.audit.decision.trigger is not None
        ]
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(why_none(outcome, closed)),
            cursor=cursor_of(outcome.cursor),
        )

    return triggers


def request(market: Market, recorded: Recorded, retrain: Retrain) -> dg.RunRequest:
    """The run of one decision. Its key is the evaluation's name, so that it is launched once, whoever asks again."""
    audit, decision = recorded.audit, recorded.audit.decision
    trigger, mode = decision.trigger, decision.mode
    if trigger is None or mode is None:
        raise ValueError(f"{audit.run_key} starts nothing: {decision.reason}")
    started = started_as(trigger, mode, retrain)
    session = partition_key(market.sessions_calendar, audit.window.session)
    return dg.RunRequest(
        run_key=audit.run_key,
        job_name=(tune_job_name if started.do_cv_tune else train_job_name)(market),
        partition_key=dg.MultiPartitionKey({SESSION: session, STRATEGY: audit.strategy}),
        run_config=config_of(market, started, retrain),
        tags={
            MARKET_TAG: market.name,
            TRIGGER_TAG: trigger.value,
            REASONS_TAG: ",".join(decision.trigger_reasons),
            MODE_TAG: started.mode,
            STARTED_TAG: json.dumps(asdict(started), sort_keys=True),
            PRIORITY_TAG: str(started.priority),
            MAX_RUNTIME_SECONDS_TAG: str(retrain.longest_seconds),
        },
    )


def config_of(market: Market, started: Started, retrain: Retrain) -> dict[str, Any]:
    """What the trigger asks for, as the assets of the job take it (S3-49, S3-56, S3-57, X-21)."""
    given: dict[str, dict[str, Any]] = {
        SNAPSHOT: {MONTHS: started.window_months},
        HOLDOUT_EVALUATION: {INCREMENTAL: started.mode == "incremental"},
    }
    if started.do_cv_tune:
        given[SEARCH] = {TRIALS: retrain.tune_trials, SECONDS: retrain.longest_seconds * TUNING_SHARE, OR_OWN: True}
        given[MODEL] = {FROM_SEARCH: True}
    return {"ops": {f"{market.name}__{asset}": {"config": values} for asset, values in given.items()}}


def why_none(outcome: Outcome, closed: Session) -> str:
    """The tick in words where it starts nothing."""
    if outcome.recorded:
        return "\n".join(told(each.audit) for each in _newest(outcome.recorded))
    if outcome.waiting:
        waiting = ", ".join(f"{name} ({session_key(session)})" for name, session in outcome.waiting.items())
        return f"Prices, features or labels of the session are not there yet for {waiting}."
    return f"Every strategy was asked after {session_key(closed)}, or later."


def _newest(recorded: Sequence[Recorded]) -> list[Recorded]:
    """The last evaluation of each strategy."""
    return list({each.audit.strategy: each for each in recorded}.values())


def sessions_of(cursor: str | None) -> dict[str, Session]:
    """Up to which session each strategy was asked."""
    return {name: parse_session(key) for name, key in json.loads(cursor or "{}").items()}


def cursor_of(sessions: Mapping[str, Session]) -> str:
    return json.dumps({name: session_key(each) for name, each in sorted(sessions.items())})
