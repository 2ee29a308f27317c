"""From a table that is about to be committed to its node: what its sessions will hold, and what they were made from."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from quant_pipelines.calendars import Session
from quant_pipelines.lake import EMPTY_SESSION, Announce, Table
from quant_pipelines.lineage.nodes import Contents, Node, Read, table_version

# Where a node goes on record; `Lineage.record` is one. It is told the same node again by whoever tries again.
Record = Callable[[Node], object]


def unrecorded(node: Node) -> None:
    """For tables that nobody will ask about."""
    del node


def held_in(table: Table, sessions: Iterable[Session], ids: Mapping[Session, str]) -> Contents:
    """What the table holds in these sessions, those without rows included: a reach counts them."""
    return Contents(
        market=table.market,
        table=table.schema.name,
        ids={session: ids.get(session, EMPTY_SESSION) for session in sessions},
    )


def recording(
    record: Record, table: Table, sessions: Iterable[Session], reads: tuple[Read, ...], facts: Mapping[str, Any]
) -> Announce:
    """Puts sessions of a table on record as soon as their content ids are known, before they are committed."""
    written = tuple(sessions)

    def announce(ids: Mapping[Session, str]) -> None:
        record(table_version(held_in(table, written, ids), reads, facts))

    return announce
