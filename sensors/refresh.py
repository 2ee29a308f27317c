"""Refresh after the close, in the market's own time zone; hourly where the market never closes (X-39)."""

from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from quant_pipelines.calendars.always_open import AlwaysOpen
from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.markets import Market
from quant_pipelines.prices import sessions_to_refresh
from resources.lake import LakeResource
from resources.sources import SourcesResource
from sensors.jobs import already_launched, refresh_job_name, refresh_request

# Vendors publish a daily bar some minutes after the close.
AFTER_CLOSE = timedelta(minutes=30)


def refresh_schedule(market: Market) -> dg.ScheduleDefinition:
    """Ask the source after each close, and launch what is new."""
    cron, zone = _cadence(market)

    @dg.schedule(
        name=f"{refresh_job_name(market)}_after_close",
        cron_schedule=cron,
        execution_timezone=zone,
        job_name=refresh_job_name(market),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Fetch new sessions of {market.name}; skips where the source's watermark did not move.",
    )
    def refresh(
        context: dg.ScheduleEvaluationContext, lake: LakeResource, sources: SourcesResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        yield from new_sessions(context.instance, market, lake, sources)

    return refresh


def new_sessions(
    instance: dg.DagsterInstance, market: Market, lake: LakeResource, sources: SourcesResource
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Runs for the sessions that the source has and the lake has not, or the reason why there are none."""
    try:
        watermark = sources.source(market).watermark()
        if already_launched(instance, market, watermark.token):
            yield dg.SkipReason(f"The watermark of {market.name} did not move since the last run.")
            return
        sessions = sessions_to_refresh(market, lake.open(), watermark, SystemClock())
    except QuantPipelinesError as error:
        yield dg.SkipReason(str(error))
        return
    if sessions:
        yield refresh_request(market, sessions, watermark=watermark.token)
    else:
        yield dg.SkipReason(f"{market.name} has no closed session that is not in the lake yet.")


def _cadence(market: Market) -> tuple[str, str]:
    """Cron and zone: half an hour after the regular close on trading weekdays, or every hour."""
    calendar = market.sessions_calendar
    if isinstance(calendar, AlwaysOpen):
        return "5 * * * *", calendar.timezone
    recent = calendar.sessions(calendar.last_known - timedelta(days=60), calendar.last_known)
    zone = ZoneInfo(calendar.timezone)
    # The latest of them is the regular close: early closes before holidays come before it.
    close = max(calendar.close_of(session).astimezone(zone).time() for session in recent)
    weekdays = sorted({(session.weekday() + 1) % 7 for session in recent})
    minutes = close.hour * 60 + close.minute + int(AFTER_CLOSE.total_seconds() // 60)
    return f"{minutes % 60} {minutes // 60} * * {','.join(map(str, weekdays))}", calendar.timezone
