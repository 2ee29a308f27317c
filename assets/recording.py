"""Tell Dagster what was materialised: one event a session, each with its own content id as DataVersion.

A run over a range would otherwise stamp all of its sessions with one DataVersion, and a later
run over one of them would look like a change where there was none.
"""

from collections.abc import Mapping
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

from quant_pipelines.calendars import Session, parse_session
from quant_pipelines.digest import digest_json

# Dagster 1.13 has no public way to give each partition of a range run its own DataVersion. The mark below is
# the one its own observable sources use to say "this body logged its events itself"; tests/unit/assets hold
# both the events and the staleness that follows from them, so an upgrade that moves it is seen at once.
_EVENTS_ARE_LOGGED = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}

# A session without any row has content too: none.
EMPTY_SESSION = digest_json([])


def record_sessions(
    context: dg.AssetExecutionContext,
    *,
    versions: Mapping[Session, str],
    metadata: Mapping[str, Any],
    by_session: Mapping[Session, Mapping[str, Any]],
    inputs: Mapping[dg.AssetKey, Mapping[Session, str]],
) -> dg.MaterializeResult:
    """Log one materialisation for each partition of the run and return the asset's result."""
    pointers = {upstream: _latest_event(context, upstream) for upstream in inputs}
    for partition in context.partition_keys:
        session = parse_session(partition)
        version = versions.get(session, EMPTY_SESSION)
        tags = {
            DATA_VERSION_TAG: version,
            DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
            CODE_VERSION_TAG: context.assets_def.code_versions_by_key[context.asset_key] or context.run.run_id,
        }
        for upstream, upstream_versions in inputs.items():
            tags[get_input_data_version_tag(upstream)] = upstream_versions.get(session, "")
            tags[get_input_event_pointer_tag(upstream)] = pointers[upstream]
        context.log_event(
            dg.AssetMaterialization(
                asset_key=context.asset_key,
                partition=partition,
                metadata={**metadata, **by_session.get(session, {}), "data_version": version},
                tags=tags,
            )
        )
    return dg.MaterializeResult(metadata=_EVENTS_ARE_LOGGED)


def _latest_event(context: dg.AssetExecutionContext, upstream: dg.AssetKey) -> str:
    """Storage id of the newest upstream event; staleness is what came after it."""
    newest = context.instance.fetch_materializations(upstream, limit=1).records
    return str(newest[0].storage_id) if newest else NULL_EVENT_POINTER
