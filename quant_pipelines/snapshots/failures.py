"""What snapshots refuse, by who must act."""

from collections.abc import Sequence

from quant_pipelines.calendars import Session, session_key
from quant_pipelines.errors import Conflict, DataRejected, OperatorActionRequired, StoreDamaged

_SHOWN = 5


class UnknownSnapshot(OperatorActionRequired):
    """An id that no snapshot has, or that several begin with."""

    code = "QP185"


class HorizonTooLong(OperatorActionRequired):
    """Labels that no signal of the window can have by the cutoff."""

    code = "QP186"

    def __init__(self, strategy: str, label_set: str, *, span: int, sessions: int) -> None:
        super().__init__(
            f"Label set {label_set} of {strategy} closes {span} sessions after its signal, but its window has "
            f"{sessions} sessions up to the cutoff. Take a later cutoff, a longer window or a shorter horizon."
        )


class NothingToLearn(OperatorActionRequired):
    """No row of the window can be learned from."""

    code = "QP187"


class UnknownMembers(OperatorActionRequired):
    """Symbols or an index that the market does not have."""

    code = "QP188"


class InputMissing(DataRejected):
    """A table lacks what the snapshot needs."""

    code = "QP285"

    @classmethod
    def table(cls, table: str) -> "InputMissing":
        return cls(f"Table {table} does not exist yet. Materialise it, then build the snapshot.")

    @classmethod
    def sessions(cls, table: str, missing: Sequence[Session]) -> "InputMissing":
        keys = ", ".join(session_key(each) for each in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more, up to {session_key(missing[-1])}" if len(missing) > _SHOWN else ""
        return cls(
            f"Table {table} has no rows for {len(missing)} sessions that the snapshot needs: {keys}{more}. "
            "Materialise them, then build the snapshot."
        )


class InputsDisagree(DataRejected):
    """Two tables of one snapshot do not have the same rows."""

    code = "QP286"


class FeaturesOutdated(DataRejected):
    """Features that were made from other prices than those the lake holds now, or by other definitions."""

    code = "QP288"

    def __init__(self, features: str, sessions: Sequence[Session]) -> None:
        first, last = session_key(sessions[0]), session_key(sessions[-1])
        super().__init__(
            f"{len(sessions)} sessions of {features} that the snapshot needs were made from other prices, or by other "
            f"definitions, than today's. Materialise {features} for {first} to {last} first, then build the snapshot."
        )


class CannotScale(DataRejected):
    """Values that no scale can be fitted on."""

    code = "QP287"


class PlanChanged(Conflict):
    """What may go is no longer what was shown."""

    code = "QP440"


class SnapshotDamaged(StoreDamaged):
    """A stored file is not what was written."""

    code = "QP540"


class SnapshotDiffers(StoreDamaged):
    """A snapshot is not what the lake says it was."""

    code = "QP541"
