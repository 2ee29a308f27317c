"""What can go wrong in the journal's database, each with its own name and remedy."""

from quant_pipelines.errors import Conflict, DataRejected, DependencyFailed, OperatorActionRequired, StoreDamaged


class DatabaseFailed(DependencyFailed):
    """The database did not answer, or a lock on it was not to be had."""

    code = "QP330"

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(
            f"The database {database} did not do what was asked: {reason}. "
            "See that it runs, that its disk has room, and try again."
        )


class DatabaseDamaged(StoreDamaged):
    """The database cannot read its own file."""

    code = "QP530"

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(f"The database {database} is damaged: {reason}. Restore it from a backup.")


class DatabaseIsNewer(OperatorActionRequired):
    """The tables were made by a later version of the code."""

    code = "QP180"

    def __init__(self, database: str, found: str, expected: str) -> None:
        super().__init__(
            f"The tables of {database} are at {found}, which this code does not know; it knows up to {expected}. "
            "Run the newer code."
        )


class EntryRefused(DataRejected):
    """An entry that could not be written so that it reads the same again."""

    code = "QP280"


class KeyTaken(Conflict):
    """Another entry was written under the same key."""

    code = "QP430"

    def __init__(self, key: str, sequence: int, differs: str) -> None:
        super().__init__(
            f"Row {sequence} was written under the key {key!r} with another {differs}. "
            "A key is the name of one content: make it of the content, or look why the two differ."
        )


class JournalDamaged(StoreDamaged):
    """A row, or the anchor, is not what was written; nothing is read from it and nothing is chained to it."""

    code = "QP531"

    def __init__(self, found: str) -> None:
        super().__init__(f"{found} Run `qp journal verify`, find out who changed it, and restore the database.")


class AnchorMissing(OperatorActionRequired):
    """Rows, but no anchor beside them: nobody could tell whether the newest ones are gone."""

    code = "QP181"

    def __init__(self, anchor: str, head: int) -> None:
        super().__init__(
            f"The journal holds rows up to {head}, but its anchor {anchor} is missing. Bring the file back; or, "
            "where this machine never had one, run `qp journal verify` and then `qp journal anchor`."
        )


class AnchorFailed(DependencyFailed):
    """The row is written, its anchor is not."""

    code = "QP331"

    def __init__(self, anchor: str, sequence: int, reason: str) -> None:
        super().__init__(
            f"Row {sequence} is in the journal, but its anchor {anchor} could not be written: {reason}. "
            "Do not write the row again; free the disk or correct the rights, then run `qp journal verify`."
        )
