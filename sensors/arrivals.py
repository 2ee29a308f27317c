"""Files that arrive or change: they are read, and exactly the sessions whose bars differ are fetched again."""

from collections.abc import Iterator

import dagster as dg

from quant_pipelines.clock import SystemClock
from quant_pipelines.markets import Market
from quant_pipelines.markets.market import FilesSource
from quant_pipelines.prices import Collector, changed_sessions, consecutive
from quant_pipelines.sources.files import FilesMissing
from resources.lake import LakeResource
from resources.sources import SourcesResource
from sensors.jobs import mark_of, refresh_job_name, refresh_request

SECONDS_BETWEEN_LOOKS = 60


def watches_files(market: Market) -> bool:
    return isinstance(market.source, FilesSource)


def arrival_sensor(market: Market) -> dg.SensorDefinition:
    """Launch the market's refresh when its files are others than at the last look."""

    @dg.sensor(
        name=f"files_of_{market.name}",
        job_name=refresh_job_name(market),
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Looks for new or changed files of {market.name} and refreshes the sessions whose bars changed.",
    )
    def files(
        context: dg.SensorEvaluationContext, lake: LakeResource, sources: SourcesResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        clock = SystemClock()
        try:
            answering = sources.answering(market)
            watermark = answering.source.watermark()
        except FilesMissing as error:
            yield dg.SkipReason(str(error))
            return
        mark = mark_of(watermark, market.sessions_calendar.last_closed(clock.now()))
        if mark == context.cursor:
            yield dg.SkipReason(f"The files of {market.name} have not changed.")
            return
        collector = Collector(market=market, answering=answering, lake=lake.open(), clock=clock)
        spans = consecutive(market.sessions_calendar, changed_sessions(collector))
        for span in spans:
            yield refresh_request(market, span, mark=mark)
        if not spans:
            yield dg.SkipReason(f"The files of {market.name} changed, but no bar of a closed session did.")
        context.update_cursor(mark)

    return files
