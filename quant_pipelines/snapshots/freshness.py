"""Are the features that a snapshot freezes those of the prices and the definitions of today?"""

from collections.abc import Iterator, Mapping, Sequence

from quant_pipelines.calendars import Session
from quant_pipelines.feature_tables import FeaturePublisher, feature_schema
from quant_pipelines.features.registry import FeatureRegistry
from quant_pipelines.lake import Window
from quant_pipelines.prices import consecutive
from quant_pipelines.snapshots.failures import FeaturesOutdated
from quant_pipelines.snapshots.gathering import TableAt
from quant_pipelines.snapshots.inputs import Inputs, session_ids


def require_made_of_today(
    inputs: Inputs, registry: FeatureRegistry, tables: Mapping[str, TableAt], needed: Sequence[Session]
) -> None:
    """Features of a bar that was restated are refused until they are made again."""
    for features in registry.sets:
        opened = tables.get(feature_schema(features).name)
        if opened is None:
            continue
        publisher = FeaturePublisher(market=inputs.market, features=features, lake=inputs.lake)
        outdated = list(_outdated(publisher, opened, needed))
        if outdated:
            raise FeaturesOutdated(f"{inputs.market.name}/{features.name}", outdated)


def _outdated(publisher: FeaturePublisher, opened: TableAt, needed: Sequence[Session]) -> Iterator[Session]:
    """Sessions whose values differ from those of today.

    Where the digest of what a session was made from differs, its values decide: a session that came out equal is not
    written again and keeps the digest of its first time.
    """
    window, version = Window(needed[0], needed[-1]), publisher.prices.version()
    wanted, there = publisher.made_from(window, as_of=version), opened.made_from(window)
    if there.damaged is not None:
        return  # the damage is named where the rows are read
    doubtful = [each for each in needed if there.made_from.get(each) != wanted.get(each)]
    for span in consecutive(publisher.market.sessions_calendar, doubtful):
        ids = session_ids(opened, [each for each in span if each in wanted])
        for chunk in publisher.chunks(Window(span[0], span[-1])):
            made = publisher.compute(chunk, as_of=version, made_from=wanted)
            today = opened.table.ids_of(made) if made.num_rows else {}
            yield from (each for each in ids if each in chunk and today.get(each) != ids[each])
