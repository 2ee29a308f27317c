"""What a snapshot is made from: tables at one version, each session by its content id; what is missing is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from quant_pipelines.arrays import SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.digest import digest_json
from quant_pipelines.feature_tables import feature_schema
from quant_pipelines.features.registry import FeatureRegistry
from quant_pipelines.lake import Lake, Window
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.markets import Market, memberships
from quant_pipelines.snapshots.document import FrozenFeature, FrozenTable, Membership, RowFilter
from quant_pipelines.snapshots.failures import InputMissing, UnknownMembers
from quant_pipelines.snapshots.gathering import TableAt
from quant_pipelines.strategies import Strategy

LABELS = "labels"
# A market whose missing bars are holes may have a session without any; where they are suspensions there is none.
_MAY_HAVE_HOLES = "gap"


@dataclass(frozen=True, eq=False, kw_only=True)
class Inputs:
    """One look at the lake: every table is read at the version that it had then, or at one of `versions`."""

    market: Market
    lake: Lake
    versions: Mapping[str, int] | None = None
    threads: int = 1

    @cached_property
    def priced(self) -> dict[Session, str]:
        """Every session that has prices; what is made of prices should be there too."""
        ids = self.lake.table(self.market.name, PRICES).session_ids()
        if not ids:
            raise InputMissing.table(f"{self.market.name}/{PRICES.name}")
        return ids

    def require_priced(self, axis: Sequence[Session]) -> None:
        """The cutoff's prices must be there, and those of every session where the market has no holes."""
        missing = [each for each in axis if each not in self.priced]
        if missing and (self.market.missing_bar != _MAY_HAVE_HOLES or axis[-1] in missing):
            raise InputMissing.sessions(f"{self.market.name}/{PRICES.name}", missing)

    def opened(self, table: str) -> TableAt:
        found = self.lake.stored(self.market.name, table)
        version = None if found is None else found.version()
        if found is None or version is None:
            raise InputMissing.table(f"{self.market.name}/{table}")
        return TableAt(found, version if self.versions is None else self.versions[table], self.threads)


def frozen_features(strategy: Strategy, registry: FeatureRegistry) -> tuple[FrozenFeature, ...]:
    """The columns, in the registry's order."""
    return tuple(
        FrozenFeature(name=each.name, table=feature_schema(group).name, version=each.version)
        for group, features in strategy.chosen(registry)
        for each in features
    )


def row_filter_of(strategy: Strategy, market: Market) -> RowFilter:
    """Whom the strategy means; an index by the dates of the market's universe file."""
    choice = strategy.universe
    members = None if choice.index is None else _members(market, choice.index)
    if choice.symbols is not None:
        choice = choice.model_copy(update={"symbols": tuple(sorted(choice.symbols))})
    return RowFilter(choice=choice, members=members, untradable=strategy.training.untradable)


def begun(opened: TableAt, axis: Sequence[Session], market: Market) -> tuple[str, ...]:
    """Symbols of the axis without a row in its first session that had one before it.

    Where missing bars are suspensions a listed symbol has a row in every session, so there are none.
    """
    calendar, opening = market.sessions_calendar, Window(axis[0], axis[0])
    if market.missing_bar != _MAY_HAVE_HOLES or axis[0] <= market.begins:
        return ()
    later, there = (
        set(opened.read(window, [SYMBOL])[SYMBOL].unique().to_pylist())
        for window in (Window(axis[0], axis[-1]), opening)
    )
    before = Window(market.begins, calendar.offset(axis[0], -1))
    earlier = opened.read(before, [SYMBOL], symbols=later - there)
    return tuple(sorted(set(earlier[SYMBOL].unique().to_pylist())))


def columns_by_table(features: Sequence[FrozenFeature]) -> Mapping[str, tuple[str, ...]]:
    """The columns of each table, in the order of the block."""
    found: dict[str, tuple[str, ...]] = {}
    for each in features:
        found[each.table] = (*found.get(each.table, ()), each.name)
    return found


def session_ids(opened: TableAt, needed: Sequence[Session]) -> dict[Session, str]:
    """The content ids of these sessions; missing ones are refused."""
    window = Window(needed[0], needed[-1])
    held = opened.table.session_ids(window, as_of=opened.version)
    missing = [each for each in needed if each not in held]
    if missing:
        raise InputMissing.sessions(opened.table.name, missing)
    return {each: held[each] for each in needed}


def require_columns(opened: TableAt, columns: Sequence[str]) -> None:
    missing = [each for each in columns if each not in opened.table.schema.names]
    if missing:
        raise InputMissing(
            f"Table {opened.table.name} has no column {', '.join(missing)}. Materialise it with today's definitions."
        )


def frozen_table(name: str, columns: Sequence[str], ids: Mapping[Session, str], listing: str) -> FrozenTable:
    """The table's entry of a document."""
    return FrozenTable(
        table=name,
        columns=tuple(columns),
        first=min(ids),
        last=max(ids),
        sessions=len(ids),
        listing=listing,
        data_version=data_version(ids),
    )


def data_version(ids: Mapping[Session, str]) -> str:
    """One id for these sessions: the name that the lake gives to the same content."""
    return digest_json([[session.isoformat(), ids[session]] for session in sorted(ids)])


def listing_text(ids: Mapping[Session, str]) -> str:
    """One line for each session and its content id."""
    return "".join(f"{session.isoformat()} {ids[session]}\n" for session in sorted(ids))


def listed(text: str) -> dict[Session, str]:
    """The sessions of a listing."""
    pairs = (line.split(" ") for line in text.splitlines())
    return {Session.fromisoformat(session): content for session, content in pairs}


def _members(market: Market, index: str) -> tuple[Membership, ...]:
    if market.universe.file is None:
        raise UnknownMembers(
            f"A strategy means the index {index}, but {market.name} has no universe file that says who belongs to it. "
            "Name one as universe.file in markets.yaml, or choose symbols."
        )
    rows = [row for row in memberships(market.universe.file) if row.index == index]
    if not rows:
        known = sorted({row.index for row in memberships(market.universe.file) if row.index})
        raise UnknownMembers(f"{market.universe.file} knows no index {index!r}. It has: {', '.join(known) or 'none'}.")
    found = [
        Membership(symbol=row.symbol, first=row.member_from or row.listed, last=row.member_to or row.delisted)
        for row in rows
    ]
    return tuple(sorted(found, key=lambda each: (each.symbol, str(each.first))))
