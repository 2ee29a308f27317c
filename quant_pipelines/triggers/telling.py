"""An evaluation in words: window, thresholds, decision."""

from quant_pipelines.calendars import session_key
from quant_pipelines.triggers.audit import Audit


def told(audit: Audit) -> str:
    """One line, for logs and the tick's page."""
    name = f"{audit.market}.{audit.strategy} after {session_key(audit.window.session)}"
    return f"{name}: window {window_text(audit)}; thresholds {thresholds_text(audit)}; decision {decision_text(audit)}"


def window_text(audit: Audit) -> str:
    """Which errors were compared."""
    window, decision = audit.window, audit.decision
    if window.recent_first is None or window.recent_last is None or window.historical_first is None:
        return f"{window.values} sessions with errors"
    return (
        f"{session_key(window.recent_first)} to {session_key(window.recent_last)} with a mean error of "
        f"{decision.performance_recent_avg:.4g}, and {decision.performance_historical_avg:.4g} before them from "
        f"{session_key(window.historical_first)} on"
    )


def thresholds_text(audit: Audit) -> str:
    """The numbers that counted."""
    limits = audit.thresholds
    return (
        f"factor {limits.decay_factor:g} over {limits.decay_sessions} sessions, at least {limits.decay_least_values} "
        f"with errors, cooldown {limits.decay_cooldown_sessions}"
    )


def decision_text(audit: Audit) -> str:
    """What starts and why, and what else was true."""
    decision = audit.decision
    true = f"; true: {', '.join(decision.trigger_reasons)}" if decision.trigger_reasons else ""
    mode = f" {decision.mode}" if decision.mode else ""
    return f"{decision.trigger or 'none'}{mode} ({decision.status}), {decision.reason}{true}"
