"""rollout of one market: the next move of what is in a rollout, session by session, or why there is none."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.decision import DECISION_ID
from assets.keys import DECISION, GOVERNANCE, LABELS, PREDICTIONS, ROLLOUT, key_of
from assets.metadata import records, short
from assets.reactions import reacting
from assets.recording import Input, inputs_of, record_partition
from assets.recording import recorded as logged
from assets.snapshots import SESSION, coordinates, snapshot_partitions
from assets.upstream import newest
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.deployment import Decision, Live, Step, Switch, live_now, recorded
from quant_pipelines.digest import digest_json
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.lake import Window
from quant_pipelines.markets import Market
from quant_pipelines.predictions import observations
from quant_pipelines.strategies import Deployment, Strategy
from resources.journal import JournalResource
from resources.lake import LakeResource
from resources.models import ModelStoreResource

FORMAT = "1"
_MOVE, _WHY = "move", "why"
_MOVES = dg.Enum("Move", [dg.EnumValue(name) for name in ("next", "roll_back")])
_CONFIG = {
    _MOVE: dg.Field(
        _MOVES,
        default_value="next",
        description="next: what the policy says. roll_back: take away what is furthest in its rollout; where nothing "
        "is, bring back the version before the champion.",
    ),
    _WHY: dg.Field(str, default_value="", description="The reason for a roll-back by hand; it goes on record."),
}


class NoReason(OperatorActionRequired):
    """A roll-back by hand without a reason."""

    code = "QP192"


def rollout_assets(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetsDefinition]:
    """One asset for each market that has strategies."""
    if not strategies:
        return []
    decided, tables = key_of(market, DECISION), [key_of(market, each) for each in (PREDICTIONS, LABELS)]
    of_session = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name=SESSION)

    @dg.asset(
        key=key_of(market, ROLLOUT),
        deps=[
            decided,
            *(dg.AssetDep(key, partition_mapping=of_session) for key in tables),
        ],
        group_name=GOVERNANCE,
        description="The next move of a strategy's rollout at the close of a session: begin, step up, roll back, or "
        f"hold, and why. What is live is whatever the journal says.\n\n{market.description}",
        partitions_def=snapshot_partitions(market, strategies),
        config_schema=_CONFIG,
        code_version=FORMAT,
        owners=[market.owner],
        tags={"market": market.name},
        pool=f"governance_{market.name}",
    )
    def rollout(
        context: dg.AssetExecutionContext, lake: LakeResource, models: ModelStoreResource, journal: JournalResource
    ) -> dg.MaterializeResult:
        with reacting(context):
            config = context.op_execution_context.op_config
            switch = Switch(journal=journal.open(), store=models.open(), actor=lake.writer(context).who)
            for partition in context.partition_keys:
                session, name = coordinates(partition)
                model, policy = f"{market.name}.{name}", strategies[name]
                inputs = [
                    *inputs_of(context, _read(lake, tables, market, session)),
                    *_decided(context, decided, partition),
                ]
                if config[_MOVE] == "roll_back":
                    live, told = _back(switch, model, session, config[_WHY]), {"move": "roll_back", "why": config[_WHY]}
                elif (begins := _beginning(context, switch, decided, partition)) is not None:
                    live, told = _begun(switch, begins, policy.rollout_policy, session)
                else:
                    live, told = _next(switch, lake, market, policy, session)
                record_partition(
                    context,
                    partition,
                    session,
                    version=digest_json([live.model_dump(mode="json"), told["move"], told["why"]]),
                    metadata={**told, **_metadata(live)},
                    inputs=inputs,
                )
        return logged(context)

    return [rollout]


def _read(
    lake: LakeResource, tables: Sequence[dg.AssetKey], market: Market, session: Session
) -> Mapping[dg.AssetKey, Mapping[Session, str]]:
    """The session's own content in each table, as Dagster sees what a move depends on."""
    stored = {key: lake.open().stored(market.name, key.path[-1]) for key in tables}
    window = Window(session, session)
    return {key: {} if table is None else table.session_ids(window) for key, table in stored.items()}


def _decided(context: dg.AssetExecutionContext, key: dg.AssetKey, partition: str) -> Sequence[Input]:
    found = newest(context, key, partition)
    if found is None:
        # Nothing was decided at this session, and that is known: without a word of it the move would look stale.
        return inputs_of(context, {key: {}})
    return [Input(key, {coordinates(partition)[0]: str(found.metadata["data_version"])}, found.event)]


def _begun(switch: Switch, decision: Decision, policy: Deployment, session: Session) -> tuple[Live, dict[str, Any]]:
    """The rollout's first stage, or what it waits for: people who agree, or another rollout's end."""
    waits = switch.obstacle(decision, policy)
    if waits is not None:
        return live_now(switch.journal, decision.model), {"move": "hold", "why": waits, DECISION_ID: decision.id}
    live = switch.deploy(decision, session=session, policy=policy)
    return live, {"move": "begin", "why": decision.reason, DECISION_ID: decision.id}


def _back(switch: Switch, model: str, session: Session, reason: str) -> Live:
    if not reason.strip():
        raise NoReason(f"Say why {model} is rolled back: write `why` in the launchpad.")
    return switch.roll_back(model, session=session, reason=reason)


def _beginning(context: dg.AssetExecutionContext, switch: Switch, key: dg.AssetKey, partition: str) -> Decision | None:
    """The partition's decision, where it lets a candidate go live that is in no rollout yet and never was."""
    found = newest(context, key, partition)
    if found is None:
        return None
    kept = recorded(switch.journal, str(found.metadata[DECISION_ID]))
    if kept is None or not kept[1].goes_live:
        return None
    live, version = live_now(switch.journal, kept[1].model), kept[1].evidence.candidate.version_id
    known = {*(each.id for each in live.taken_away), *(each.version.id for each in live.earlier)}
    return None if live.placed(version) is not None or version in known else kept[1]


def _next(
    switch: Switch, lake: LakeResource, market: Market, strategy: Strategy, session: Session
) -> tuple[Live, dict[str, Any]]:
    model = f"{market.name}.{strategy.name}"
    seen = observations(lake.open(), market.name, live_now(switch.journal, model), strategy.label_set, through=session)
    taken = switch.step(model, seen, strategy.rollout_policy, session=session)
    told: dict[str, Any] = {"move": taken.step.doing, "why": _words(taken.step)}
    if taken.step.version is not None:
        told["version"] = f"{model}/{taken.step.version.number}"
    if taken.step.doing == "roll_back":
        told |= {"windows_failed": taken.step.windows_failed, "trigger_rule": taken.step.trigger_rule or ""}
    if seen:
        told["observed"] = records(
            [
                {
                    "session": each.session,
                    "IC of the candidate": short(each.candidate),
                    "IC of the champion": short(each.champion),
                }
                for each in seen
            ]
        )
    return taken.live, told


def _words(step: Step) -> str:
    return f"{step.why}: {step.text}"


def _metadata(live: Live) -> dict[str, Any]:
    """What serves after the move."""
    return {
        "moves_so_far": live.number,
        "live": records(
            [
                {
                    "role": each.role,
                    "version": f"{live.model}/{each.placed.version.number}",
                    "percent": each.percent,
                    "since": session_key(each.placed.since),
                    "journal_row": each.placed.row,
                }
                for each in live.serving
            ]
        ),
        "stage": live.stage,
    }
