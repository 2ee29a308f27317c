"""What lineage refuses."""

from collections.abc import Sequence

from quant_pipelines.errors import Conflict, DataRejected, OperatorActionRequired


class LineageRefused(DataRejected):
    """A node that says nothing, or more than it can mean."""

    code = "QP281"


class LineageConflict(Conflict):
    """Two contents under one id."""

    code = "QP431"

    def __init__(self, node: str) -> None:
        super().__init__(
            f"Lineage knows {node} with another content. An id is the name of one content: make it of the content, "
            "or look why the two differ."
        )


class UnknownNode(OperatorActionRequired):
    """An id that lineage never heard of."""

    code = "QP182"

    def __init__(self, unknown: Sequence[str]) -> None:
        super().__init__(f"Lineage does not know {', '.join(unknown)}. Record parents before their children.")


class UnknownContent(OperatorActionRequired):
    """A session, or a content of it, that was never recorded; nobody can say what depends on it."""

    code = "QP183"

    def __init__(self, place: str, content: str | None, known: Sequence[str]) -> None:
        asked = "any content" if content is None else f"the content {content}"
        has = f"It has {', '.join(known)}." if known else "It has none."
        super().__init__(
            f"Lineage was asked for {asked} of {place}, which was never recorded. {has} "
            "Check the table and the session, or materialise it again so that it is recorded."
        )


class UnknownTarget(OperatorActionRequired):
    """A target that no snapshot has."""

    code = "QP184"

    def __init__(self, target: str, known: Sequence[str]) -> None:
        super().__init__(f"No snapshot has the target {target!r}. There are: {', '.join(known) or 'none'}.")
