"""Tell Dagster what was materialised: one event a session, each with its own content id as DataVersion.

A run over a range would otherwise stamp all of its sessions with one DataVersion, and a later
run over one of them would look like a change where there was none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata, generate_event_batch_id
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from quant_pipelines.calendars import Session, parse_session
from quant_pipelines.lake import EMPTY_SESSION, Window
from resources.publishing import publishing

# Dagster 1.13 has no public way to give each partition of a range run its own DataVersion. The mark below is
# the one its own observable sources use to say "this body logged its events itself"; tests/unit/assets hold
# both the events and the staleness that follows from them, so an upgrade that moves it is seen at once.
_EVENTS_ARE_LOGGED = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}


@dataclass(frozen=True, slots=True)
class Input:
    """What an asset is about to read: each session's content id, and the newest event that can have made it."""

    key: dg.AssetKey
    versions: Mapping[Session, str]
    newest_event: str


def inputs_of(
    context: dg.AssetExecutionContext, versions: Mapping[dg.AssetKey, Mapping[Session, str]]
) -> Sequence[Input]:
    """Take note of the inputs before they are read: what arrives later makes the result stale, as it should."""
    return [Input(key, ids, _newest_event(context, key)) for key, ids in versions.items()]


def record_sessions(
    context: dg.AssetExecutionContext,
    window: Window,
    *,
    versions: Mapping[Session, str],
    metadata: Mapping[str, Any],
    by_session: Mapping[Session, Mapping[str, Any]],
    inputs: Sequence[Input],
) -> None:
    """Log one materialisation for each of the run's partitions in the window; none once the run is over."""
    events: list[dg.AssetMaterialization] = []
    for partition in context.partition_keys:
        session = parse_session(partition)
        if session in window:
            version = versions.get(session, EMPTY_SESSION)
            facts = {**metadata, **by_session.get(session, {})}
            events.append(_event(context, partition, session, version=version, metadata=facts, inputs=inputs))
    _log_together(context, events)


def record_partition(
    context: dg.AssetExecutionContext,
    partition: str,
    session: Session,
    *,
    version: str,
    metadata: Mapping[str, Any],
    inputs: Sequence[Input],
) -> None:
    """Log the materialisation of one partition, which was made at a session."""
    _log_together(context, [_event(context, partition, session, version=version, metadata=metadata, inputs=inputs)])


def _event(
    context: dg.AssetExecutionContext,
    partition: str,
    session: Session,
    *,
    version: str,
    metadata: Mapping[str, Any],
    inputs: Sequence[Input],
) -> dg.AssetMaterialization:
    tags = {
        DATA_VERSION_TAG: version,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        CODE_VERSION_TAG: context.assets_def.code_versions_by_key[context.asset_key] or context.run.run_id,
    }
    for each in inputs:
        tags[get_input_data_version_tag(each.key)] = each.versions.get(session, EMPTY_SESSION)
        tags[get_input_event_pointer_tag(each.key)] = each.newest_event
    return dg.AssetMaterialization(
        asset_key=context.asset_key, partition=partition, metadata={**metadata, "data_version": version}, tags=tags
    )


def _log_together(context: dg.AssetExecutionContext, events: Sequence[dg.AssetMaterialization]) -> None:
    """As `context.log_event` for each of them, but handed over as one batch, which costs a tenth of the time.

    Once the run is over nothing is logged.
    """
    step, batch = context.get_step_execution_context(), generate_event_batch_id()
    with publishing(context.instance, context.run.run_id):
        for position, event in enumerate(events, start=1):
            DagsterEvent.asset_materialization(step, event, DagsterEventBatchMetadata(batch, position == len(events)))


def recorded(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """The result of a body that has logged its own events."""
    count_partitions(context.instance, context.asset_key, context.assets_def.partitions_def)
    return dg.MaterializeResult(metadata=_EVENTS_ARE_LOGGED)


def count_partitions(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: dg.PartitionsDefinition[str] | None
) -> None:
    """Bring Dagster's count of the asset's partitions up to date.

    Dagster would do it when somebody next opens the asset's page, who then waits a second for every year.
    """
    get_and_update_asset_status_cache_value(instance, key, partitions)


def _newest_event(context: dg.AssetExecutionContext, upstream: dg.AssetKey) -> str:
    """Storage id of the upstream's newest event; staleness is what came after it."""
    newest = context.instance.fetch_materializations(upstream, limit=1).records
    return str(newest[0].storage_id) if newest else NULL_EVENT_POINTER
