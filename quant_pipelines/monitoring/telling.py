"""Who has to be told of which alert now, and telling them: in time, again while nobody answers, and once it is over."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from quant_pipelines.clock import Clock
from quant_pipelines.errors import DependencyFailed
from quant_pipelines.journal import Journal
from quant_pipelines.monitoring.alerts import Alert, alerts, tell
from quant_pipelines.monitoring.readings import WITHIN

_TIMEOUT_SECONDS = 10.0
_LONGEST = timedelta(days=3650)
Send = Callable[[Sequence[Mapping[str, Any]]], None]


class NobodyTold(DependencyFailed):
    """Whoever receives alerts did not take them."""

    code = "QP332"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look came to. `last` is when each open alert was told last; `late` are those that nobody was told of in
    time."""

    told: tuple[Alert, ...]
    late: tuple[Alert, ...]
    last: Mapping[str, datetime]
    failure: str | None = None


@dataclass(frozen=True, kw_only=True)
class Teller:
    """Tells the alerts of one journal."""

    journal: Journal
    send: Send
    clock: Clock
    actor: str

    def look(self, last: Mapping[str, datetime]) -> Look:
        """Tell what is due. What could not be delivered is due again at the next look."""
        now = self.clock.now()
        found = alerts(self.journal)
        due = [each for each in found if is_due(each, last.get(each.id), now)]
        failure = None
        try:
            if due:
                self.send([message(each) for each in due])
        except NobodyTold as error:
            failure, due = str(error), []
        for each in due:
            tell(self.journal, each, actor=self.actor)
        told = {each.id for each in due}
        still = {each.id for each in found if each.is_open}
        return Look(
            told=tuple(due),
            late=tuple(each for each in found if each.id not in told and is_late(each, now)),
            last={**{name: at for name, at in last.items() if name in still}, **dict.fromkeys(told & still, now)},
            failure=failure,
        )


def is_due(alert: Alert, last: datetime | None, now: datetime) -> bool:
    """Whether somebody has to be told: first of all, again while it is open and nobody knows, and that it is over."""
    if alert.acknowledged is not None:
        return not alert.is_open and not alert.over_told
    if alert.told_at is None or not alert.is_open:
        return not alert.over_told
    return now - (last or alert.told_at) >= WITHIN[alert.raised.priority]


def is_late(alert: Alert, now: datetime) -> bool:
    """Whether the time has gone in which a person had to be told."""
    untold = alert.told_at is None and alert.acknowledged is None
    return untold and now - alert.raised_at > WITHIN[alert.raised.priority]


def message(alert: Alert) -> dict[str, Any]:
    """The alert as Prometheus' Alertmanager takes it; other receivers read the same words."""
    raised = alert.raised
    # Alertmanager takes for over what has come to its end, and one that somebody knows of is not told again.
    ends = alert.over_at or alert.raised_at + _LONGEST
    return {
        "labels": {
            "alertname": raised.metric,
            "severity": raised.priority.value,
            "route": raised.priority.value,
            "model": raised.model,
            "alert": alert.id,
        },
        "annotations": {"status": "open" if alert.is_open else "over", "version": raised.version, "text": raised.text},
        "startsAt": alert.raised_at.isoformat(),
        "endsAt": ends.isoformat(),
    }


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What is sent on elsewhere was not taken: it would arrive as a question without the alerts."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """No other request follows."""


def sender_to(url: str) -> Send:
    """POST the messages as one JSON list. The URL may be a secret, so only its host is ever told."""
    opener = urllib.request.build_opener(_NoRedirects)

    def send(messages: Sequence[Mapping[str, Any]]) -> None:
        request = urllib.request.Request(  # noqa: S310 - the address is the operator's own setting
            url, json.dumps(messages).encode(), {"Content-Type": "application/json"}
        )
        try:
            with opener.open(request, timeout=_TIMEOUT_SECONDS):
                return
        except (OSError, HTTPException) as error:
            reason = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        # Not from the error: it may have the URL in it.
        raise NobodyTold(
            f"{urlsplit(url).hostname} did not take {len(messages)} alerts: {reason}. They are sent again until it "
            "does; check QP_ALERT_URL and what listens there."
        )

    return send
