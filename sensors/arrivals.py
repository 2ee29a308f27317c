"""Files that arrive or change: the whole history is read again, and equal content writes nothing."""

from collections.abc import Iterator

import dagster as dg

from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.markets import Market
from quant_pipelines.markets.market import FilesSource
from quant_pipelines.prices import all_sessions
from resources.sources import SourcesResource
from sensors.jobs import already_launched, refresh_job_name, refresh_request

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
        description=f"Looks for new or changed files of {market.name} and reads its history again.",
    )
    def files(context: dg.SensorEvaluationContext, sources: SourcesResource) -> Iterator[dg.RunRequest | dg.SkipReason]:
        try:
            watermark = sources.source(market).watermark()
            sessions = all_sessions(market, watermark, SystemClock())
        except QuantPipelinesError as error:
            yield dg.SkipReason(str(error))
            return
        if watermark.token == context.cursor or already_launched(context.instance, market, watermark.token):
            yield dg.SkipReason(f"The files of {market.name} have not changed.")
            return
        if sessions:
            yield refresh_request(market, sessions, watermark=watermark.token)
        else:
            yield dg.SkipReason(f"The files of {market.name} hold no closed session of its calendar yet.")
        context.update_cursor(watermark.token)

    return files
