"""What was materialised last upstream, for one partition."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg


@dataclass(frozen=True, slots=True)
class Newest:
    """The metadata of the newest materialisation, and the storage id of its event."""

    metadata: Mapping[str, Any]
    event: str


def newest(context: dg.AssetExecutionContext, key: dg.AssetKey, partition: str) -> Newest | None:
    """The newest materialisation of a partition, also one of this very run; None where there is none."""
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition])
    for record in context.instance.fetch_materializations(wanted, limit=1).records:
        event = record.asset_materialization
        if event is not None:
            return Newest({name: each.value for name, each in event.metadata.items()}, str(record.storage_id))
    return None
