"""What deployment refuses, by who must act."""

from collections.abc import Sequence

from quant_pipelines.calendars import Session, session_key
from quant_pipelines.errors import Conflict, DataRejected, OperatorActionRequired, StoreDamaged
from quant_pipelines.journal import Finding

_NAMED, _ID_DIGITS = 3, 16


class ApprovalMissing(OperatorActionRequired):
    """Too few people have agreed to this step."""

    code = "QP150"

    def __init__(self, decision_id: str, *, found: Sequence[str], needed: int, role: str) -> None:
        told = ", ".join(found) or "nobody"
        super().__init__(
            f"Decision {decision_id[:16]} was approved by {told}; {needed} different people who are {role} are needed. "
            "Ask them to approve it."
        )


class ApproverRefused(OperatorActionRequired):
    """Somebody who may not approve, or something that cannot be approved."""

    code = "QP151"


class NothingToRollBack(OperatorActionRequired):
    """Nothing is in a rollout, and no version was live before the one that is."""

    code = "QP152"


class NotDeployable(OperatorActionRequired):
    """A decision, or a version, that cannot go live."""

    code = "QP153"


class Incompatible(OperatorActionRequired):
    """A version that cannot read the data that it would be given."""

    code = "QP154"


class UnknownExperiment(OperatorActionRequired):
    """No experiment of this name was begun."""

    code = "QP155"


class BadExperiment(OperatorActionRequired, ValueError):
    """An experiment that could tell nothing."""

    code = "QP156"


class UnknownDecision(OperatorActionRequired):
    """No decision, or more than one, has an id that begins so."""

    code = "QP157"

    def __init__(self, beginning: str, found: Sequence[str]) -> None:
        what = "More than one decision has" if len(found) > 1 else "There is no decision with"
        named = f": {', '.join(each[:_ID_DIGITS] for each in found[:_NAMED])}" if len(found) > 1 else ""
        super().__init__(
            f"{what} an id that begins with {beginning!r}{named}. Give six digits or more of an id of "
            "`qp decision list`."
        )


class BadHistory(OperatorActionRequired, ValueError):
    """A past that cannot be replayed."""

    code = "QP159"


class Unhealthy(DataRejected):
    """A version that loads, but does not forecast as it should."""

    code = "QP292"


class RolloutRaced(Conflict):
    """Somebody else has moved this model first."""

    code = "QP460"

    def __init__(self, model: str, sequence: int, done: str) -> None:
        super().__init__(
            f"{model} was moved by somebody else meanwhile: row {sequence} of the journal says {done}. Nothing was "
            "changed here. Look at what is live now, then decide again."
        )


class RolloutUnderway(Conflict):
    """Another candidate is on the ladder."""

    code = "QP461"


class StaleDecision(Conflict):
    """The candidate was compared with a version that is not the champion any more."""

    code = "QP462"


class SessionPassed(Conflict):
    """A move at a session before the last one: what was live between them would be another thing afterwards."""

    code = "QP464"

    def __init__(self, model: str, asked: Session, last: Session) -> None:
        super().__init__(
            f"{model} was moved at {session_key(last)} already, so it is not moved at {session_key(asked)}. Ask for "
            "that session or a later one."
        )


class ExperimentEnded(Conflict):
    """The experiment was stopped already, for another reason."""

    code = "QP463"


class CannotServe(StoreDamaged):
    """The version that would be live cannot be loaded; nothing was switched to it."""

    code = "QP580"

    def __init__(self, model: str, version: str, reason: str) -> None:
        super().__init__(f"Version {version} of {model} cannot serve, and nothing is switched to it: {reason}")


class JournalUntrusted(StoreDamaged):
    """The journal is not what was written, so nobody knows what is live; nothing is moved on it."""

    code = "QP581"

    def __init__(self, journal: str, findings: Sequence[Finding]) -> None:
        told = "; ".join(str(each) for each in findings[:_NAMED])
        more = f"; and {len(findings) - _NAMED} more" if len(findings) > _NAMED else ""
        super().__init__(
            f"Nobody knows what is live, and nothing is moved: the journal {journal} is not what was written: "
            f"{told}{more}. "
            "Run `qp journal verify`, find out who changed it, and restore the database."
        )


class RolloutUnreadable(StoreDamaged):
    """A row that does not follow from the rows before it; it was written past this package."""

    code = "QP582"
