"""What the model store refuses, by who must act."""

from collections.abc import Iterable

from quant_pipelines.errors import Conflict, DataRejected, DependencyFailed, OperatorActionRequired, StoreDamaged


class UnknownVersion(OperatorActionRequired):
    """A model, a version or an alias that the store does not have."""

    code = "QP170"


class KeyRefused(OperatorActionRequired):
    """A key that others can read, that is too short, or that is not there."""

    code = "QP171"


class UnknownState(OperatorActionRequired, ValueError):
    """A word that is no state of a model's life."""

    code = "QP172"


class RetentionRefused(OperatorActionRequired, ValueError):
    """Fewer versions than may be kept."""

    code = "QP173"


class TagRefused(OperatorActionRequired, ValueError):
    """A tag whose name is the store's own."""

    code = "QP175"


class IllegalTransition(Conflict):
    """A step that the life cycle does not have (X-12)."""

    code = "QP450"

    def __init__(self, found: str, wanted: str, allowed: Iterable[str]) -> None:
        ways = ", ".join(allowed)
        super().__init__(
            f"A version that is {found} cannot become {wanted}. "
            + (f"It can become {ways}." if ways else "Its life is over; train another version.")
        )


class CannotPack(DataRejected):
    """A model that cannot be stored as it is."""

    code = "QP272"


class StoreUnreachable(DependencyFailed):
    """MLflow, its database or its artifact store did not do what was asked."""

    code = "QP350"

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(
            f"MLflow at {place} did not do what was asked: {reason}. See that it runs and is reached, and try again."
        )


class NotLogged(DependencyFailed):
    """A run has ended, but MLflow does not have all that was measured in it."""

    code = "QP351"


class VersionRefused(StoreDamaged):
    """A stored version that is not what was written, or that is no model of ours. Nothing of it was loaded."""

    code = "QP550"


class PickleRefused(VersionRefused):
    """A pickle: loading it would run whatever its writer wanted."""

    code = "QP551"


class ArchiveRefused(VersionRefused):
    """An archive or a compressed file, where a model's plain bytes should be."""

    code = "QP552"


class HashMismatch(VersionRefused):
    """A file's bytes are not those that were signed for."""

    code = "QP553"


class SignatureMismatch(VersionRefused):
    """No key of ours has signed this manifest."""

    code = "QP554"


class PathEscape(VersionRefused):
    """A name that leads out of the version's folder, or a link."""

    code = "QP555"


class HeaderRefused(VersionRefused):
    """A safetensors file whose header does not describe its bytes."""

    code = "QP556"


class TooLarge(VersionRefused):
    """More bytes than a model may have."""

    code = "QP557"


class FilesDiffer(VersionRefused):
    """A file too many, or one too few."""

    code = "QP558"


class FormRefused(VersionRefused):
    """A file that is not in the form that its kind of model has."""

    code = "QP559"


class ManifestRefused(VersionRefused):
    """A signed manifest that this code cannot read."""

    code = "QP570"


class VersionSwapped(VersionRefused):
    """A whole version, rightly signed, in another one's place."""

    code = "QP571"
