"""Refresh after the close, in the market's own time zone; hourly where the market never closes (X-39)."""

from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from quant_pipelines.calendars.always_open import AlwaysOpen
from quant_pipelines.clock import SystemClock
from quant_pipelines.markets import Market
from quant_pipelines.prices import sessions_to_refresh
from quant_pipelines.sources.files import FilesMissing
from resources.lake import LakeResource
from resources.sources import SourcesResource
from sensors.jobs import ATTEMPTS, MARKET_TAG, WATERMARK_TAG, launches, mark_of, refresh_job_name, refresh_request

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
    """A run for the sessions that the source has and the lake has not, or the reason why there is none."""
    clock = SystemClock()
    try:
        watermark = sources.answering(market).source.watermark()
    except FilesMissing as error:
        yield dg.SkipReason(str(error))  # nothing was delivered yet; any other error is a failed tick
        return
    mark = mark_of(watermark, market.sessions_calendar.last_closed(clock.now()))
    failed, done = launches(instance, {MARKET_TAG: market.name, WATERMARK_TAG: mark})
    if done:
        yield dg.SkipReason(f"The watermark of {market.name} did not move since the last run.")
        return
    if failed >= ATTEMPTS:
        yield dg.SkipReason(f"{failed} runs failed on this state of {market.name}'s source. See the incidents table.")
        return
    sessions = sessions_to_refresh(market, lake.open(), watermark, clock)
    if sessions:
        yield refresh_request(market, sessions, mark=mark, attempt=failed)
    else:
        yield dg.SkipReason(f"{market.name} has no closed session that is newer than what is published.")


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
