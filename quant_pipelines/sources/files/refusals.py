"""Why a file is not read: every refusal names the place, what was found and what to do."""

from quant_pipelines.errors import DataRejected, DependencyFailed, OperatorActionRequired


class Unreadable(Exception):
    """Raised while reading one document; whoever knows its place turns it into FileRefused.

    `row` counts data rows from 0 and is turned into a line by whoever knows the lines.
    """

    def __init__(self, reason: str, *, where: str | None = None, row: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.where = where
        self.row = row


class FilesMissing(OperatorActionRequired):
    """The folder is not there, cannot be opened, or holds nothing that fits the pattern."""

    code = "QP210"


class FilesMisconfigured(OperatorActionRequired):
    """The market's entry contradicts itself or names something that does not exist."""

    code = "QP211"


class FileRefused(DataRejected):
    """One file that cannot be read for certain."""

    code = "QP212"

    def __init__(self, place: str, reason: str, *, where: str | None = None) -> None:
        self.place = place
        self.where = where
        self.reason = reason
        super().__init__(f"{place}{', ' + where if where else ''}: {reason}")


class FilesRefused(DataRejected):
    """Several files that cannot be read for certain; the first few are named."""

    code = "QP213"

    SHOWN = 5

    def __init__(self, refused: list[FileRefused]) -> None:
        self.refused = tuple(refused)
        shown = "\n".join(f"- {each}" for each in refused[: self.SHOWN])
        rest = f"\n- and {len(refused) - self.SHOWN} more" if len(refused) > self.SHOWN else ""
        super().__init__(f"{len(refused)} files cannot be read for certain. Correct or exclude them:\n{shown}{rest}")


class FileChanging(DependencyFailed):
    """A file changed, or went away, while it was read."""

    code = "QP214"

    def __init__(self, place: str) -> None:
        super().__init__(f"{place} changed while it was read. Try again once its writer has finished.")
