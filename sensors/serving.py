"""What serves is kept going: each new session is scored, and every rollout is asked for its next move."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from assets.features import registry_of
from assets.snapshots import SESSION, STRATEGY
from quant_pipelines.calendars import Session, partition_key, session_key
from quant_pipelines.clock import SystemClock
from quant_pipelines.deployment import Decision, Live, Switch, decisions, live_now
from quant_pipelines.digest import digest_json
from quant_pipelines.feature_tables import feature_schema
from quant_pipelines.journal import Journal
from quant_pipelines.lake import Lake
from quant_pipelines.markets import Market
from quant_pipelines.monitoring import Incident, record_incident
from quant_pipelines.predictions import PREDICTIONS, observations
from quant_pipelines.strategies import Strategy
from resources.journal import JournalResource
from resources.lake import LakeResource
from resources.models import ModelStoreResource
from sensors.jobs import ATTEMPTS, MARKET_TAG, launches, predict_job_name, rollout_job_name

SECONDS_BETWEEN_LOOKS = 60
_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
WHY_TAG, TRIGGER_RULE_TAG = "quant_pipelines/why", "trigger_rule"
ASKED_TAG = "quant_pipelines/asked_for"
_ID_LENGTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A run that a sensor wants, by the name of what it makes."""

    name: str
    partition: str
    tags: Mapping[str, str]


def serving_sensors(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.SensorDefinition]:
    """Two for each market that has strategies."""
    return [prediction_sensor(market, strategies), rollout_sensor(market, strategies)] if strategies else []


def prediction_sensor(market: Market, strategies: Mapping[str, Strategy]) -> dg.SensorDefinition:
    """Score the newest session that has features and no predictions yet, where something is live."""

    sensor_name = f"predictions_of_{market.name}"

    @dg.sensor(
        name=sensor_name,
        job_name=predict_job_name(market),
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Scores each new session of {market.name} with what is live, once its features are there.",
    )
    def predict(
        context: dg.SensorEvaluationContext, lake: LakeResource, journal: JournalResource
    ) -> dg.RunRequest | dg.SkipReason:
        book = journal.open()
        lives = {name: live_now(book, _model(market, name)) for name in strategies}
        serving = {name: live for name, live in lives.items() if live.champion is not None}
        if not serving:
            return dg.SkipReason(f"Nothing is live in {market.name}.")
        store = lake.open()
        newest = newest_with_features(store, market, [strategies[name] for name in serving])
        if newest is None:
            return dg.SkipReason(f"No session of {market.name} has the features of {', '.join(serving)}.")
        if newest in sessions_of(store, market, PREDICTIONS.name):
            return dg.SkipReason(f"{session_key(newest)} is scored.")
        moves = "-".join(f"{name}.{live.number}" for name, live in sorted(serving.items()))
        wanted = Wanted(
            name=f"{market.name}:{session_key(newest)}:{moves}",
            partition=partition_key(market.sessions_calendar, newest),
            tags={MARKET_TAG: market.name},
        )
        asked = asked_for(context.instance, store, wanted, sensor=sensor_name)
        return asked if isinstance(asked, dg.RunRequest) else dg.SkipReason(asked)

    return predict


def rollout_sensor(market: Market, strategies: Mapping[str, Strategy]) -> dg.SensorDefinition:
    """Ask every rollout for its next move, and launch it where there is one."""

    sensor_name = f"rollouts_of_{market.name}"

    @dg.sensor(
        name=sensor_name,
        job_name=rollout_job_name(market),
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Begins, steps up and rolls back the rollouts of {market.name}; what holds them goes on record.",
    )
    def rollouts(
        context: dg.SensorEvaluationContext, lake: LakeResource, journal: JournalResource, models: ModelStoreResource
    ) -> dg.SensorResult:
        book, store = journal.open(), lake.open()
        newest = max(sessions_of(store, market, PREDICTIONS.name), default=None)
        switch = Switch(journal=book, store=models.open(), actor=f"sensor:{sensor_name}")
        wanted: list[Wanted] = []
        told: list[str] = []
        for name, strategy in strategies.items():
            live = live_now(book, _model(market, name))
            begins = beginning(book, live)
            if begins is not None and _is_made(context.instance, market, name, begins):
                told.append(f"{name}: the run that decided is about to begin its rollout.")
            elif begins is not None and (waits := switch.obstacle(begins, strategy.rollout_policy)) is not None:
                told.append(f"{name}: {waits}")
            elif begins is not None:
                wanted.append(_move(market, name, begins.evidence.cutoff, live, why="begin", rule=begins.id))
            elif live.champion is None or newest is None:
                told.append(f"{name}: nothing is live.")
            elif live.session is not None and newest < live.session:
                told.append(f"{name}: waits for the predictions of {session_key(live.session)}.")
            else:
                seen = observations(store, market.name, live, strategy.label_set, through=newest)
                step = switch.consider(live.model, seen, strategy.rollout_policy, session=newest)
                told.append(f"{name}: {step.doing}, {step.why}. {step.text}")
                if step.doing in {"step", "roll_back"}:
                    wanted.append(_move(market, name, newest, live, why=step.doing, rule=step.trigger_rule or ""))
        asked = [asked_for(context.instance, store, each, sensor=sensor_name) for each in wanted]
        requests = [each for each in asked if isinstance(each, dg.RunRequest)]
        told += [each for each in asked if isinstance(each, str)]
        for line in told:
            context.log.info(line)
        return dg.SensorResult(
            run_requests=requests, skip_reason=None if requests else dg.SkipReason("\n".join(told) or "No strategies.")
        )

    return rollouts


def beginning(journal: Journal, live: Live) -> Decision | None:
    """The newest decision, where it lets a candidate go live that is in no rollout and never was."""
    found = decisions(journal, live.model)
    if not found or not found[-1][1].goes_live:
        return None
    decided = found[-1][1]
    version = decided.evidence.candidate.version_id
    known = {*(each.id for each in live.taken_away), *(each.version.id for each in live.earlier)}
    return None if live.placed(version) is not None or version in known else decided


def _is_made(instance: dg.DagsterInstance, market: Market, strategy: str, decided: Decision) -> bool:
    """Whether a run of the decision's own partition is under way: it ends with the rollout's move."""
    partition = f"{partition_key(market.sessions_calendar, decided.evidence.cutoff)}|{strategy}"
    running = dg.RunsFilter(tags={PARTITION_NAME_TAG: partition, MARKET_TAG: market.name}, statuses=_UNDER_WAY)
    return bool(instance.get_run_ids(filters=running, limit=1))


def newest_with_features(lake: Lake, market: Market, strategies: Sequence[Strategy]) -> Session | None:
    """The newest session that every table of these strategies' features has."""
    registry = registry_of(market)
    names = {feature_schema(features).name for each in strategies for features, _ in each.chosen(registry)}
    return max(set[Session].intersection(*(sessions_of(lake, market, name) for name in names)), default=None)


def sessions_of(lake: Lake, market: Market, table: str) -> set[Session]:
    """The sessions that a table has; none where it was never written."""
    found = lake.stored(market.name, table)
    return set() if found is None else set(found.session_ids())


def asked_for(instance: dg.DagsterInstance, lake: Lake, wanted: Wanted, *, sensor: str) -> dg.RunRequest | str:
    """The run's request, or in words why there is none: it was launched, or has failed too often.

    Each attempt has a run key of its own, so a failed run is asked for again. Who gives up says so as an incident.
    """
    failed, done = launches(instance, {ASKED_TAG: wanted.name})
    if done:
        return f"{wanted.name} was launched already."
    if failed < ATTEMPTS:
        return dg.RunRequest(
            run_key=f"{wanted.name}:{failed}",
            partition_key=wanted.partition,
            tags={**wanted.tags, ASKED_TAG: wanted.name},
        )
    given_up = (
        f"{failed} runs of {wanted.name} failed, and it is not asked for again. Their incidents say why: mend that, "
        f"and launch it by hand for {wanted.partition}. The next session is asked for anew."
    )
    about = f"given-up-{digest_json(wanted.name)[:_ID_LENGTH]}"
    seen_at = SystemClock().now()
    record_incident(lake, Incident(run_id=about, job=sensor, step=None, code=None, message=given_up, seen_at=seen_at))
    return given_up


def _move(market: Market, strategy: str, session: Session, live: Live, *, why: str, rule: str) -> Wanted:
    """One move of one model: its name has the move's number, so it is made once at a session."""
    key = partition_key(market.sessions_calendar, session)
    tags = {MARKET_TAG: market.name, WHY_TAG: why, **({TRIGGER_RULE_TAG: rule} if rule else {})}
    return Wanted(
        name=f"{live.model}:{live.number + 1}:{why}:{key}",
        partition=dg.MultiPartitionKey({SESSION: key, STRATEGY: strategy}),
        tags=tags,
    )


def _model(market: Market, strategy: str) -> str:
    return f"{market.name}.{strategy}"
