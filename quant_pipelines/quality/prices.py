"""The rules for checked prices: what publication must have kept, and what a person should look at."""

from quant_pipelines.lake.tables import PRICES
from quant_pipelines.quality.bars import (
    FOUR_PRICES,
    KEY,
    NUMBERS,
    finite,
    hard,
    high_encloses,
    is_session,
    known,
    low_encloses,
    not_negative,
    positive,
    soft,
)
from quant_pipelines.quality.checks import AtLeast, Between, Known, Unique, Unknown
from quant_pipelines.quality.price_views import (
    ALL_ROWS,
    DATED,
    GAPS,
    NUMBERS_AS_DELIVERED,
    PRICED,
    SESSIONS,
    TABLE,
    UNPRICED,
)
from quant_pipelines.quality.rules import Rule
from quant_pipelines.quality.shape import schema_rule


def _empty(column: str) -> Unknown:
    return Unknown(column, f"{column} is {{{column}}}")


PRICE_RULES: tuple[Rule, ...] = (
    schema_rule(PRICES),
    hard(
        "unique_key",
        ALL_ROWS,
        "one row per session and symbol",
        Unique(KEY, "{symbol} has more than one row in {session}"),
    ),
    is_session(ALL_ROWS),
    hard(
        "priced",
        PRICED,
        "a row that is neither suspended nor quarantined has its four prices",
        *map(known, FOUR_PRICES),
    ),
    hard(
        "finite",
        NUMBERS_AS_DELIVERED,
        "every number is finite, and a missing one is null",
        *map(finite, (*NUMBERS, "vwap")),
    ),
    hard("positive_price", PRICED, "prices are above zero", *map(positive, (*FOUR_PRICES, "previous_close", "vwap"))),
    high_encloses(PRICED),
    low_encloses(PRICED),
    hard(
        "traded_not_negative",
        PRICED,
        "volume and amount are zero or more",
        not_negative("volume"),
        not_negative("amount"),
    ),
    hard("positive_factor", PRICED, "an adjustment factor is above zero", positive("factor")),
    hard(
        "flags_consistent",
        UNPRICED,
        "a suspended or quarantined row has one of the two flags and no price",
        Between("flags", "it is both suspended and quarantined", high=1),
        *map(_empty, (*FOUR_PRICES, "vwap")),
    ),
    soft(
        "vwap_inside",
        PRICED,
        "a volume-weighted price lies within its bar",
        AtLeast("vwap", "vwap_floor", "vwap {vwap} is below low {low}"),
        AtLeast("vwap_ceiling", "vwap", "vwap {vwap} is above high {high}"),
    ),
    soft(
        "spike",
        PRICED,
        "a session's adjusted return stays within the market's spike_return",
        AtLeast("spike_return", "adjusted_return", "the adjusted return {adjusted_return} is above {spike_return}"),
        AtLeast("adjusted_return", "fall_return", "the adjusted return {adjusted_return} is below {fall_return}"),
    ),
    soft(
        "factor_known",
        DATED,
        "a symbol with adjustment factors has one in every session",
        Known("factor", "factor is missing"),
    ),
    soft(
        "gap",
        GAPS,
        "a listed symbol goes without a price for fewer sessions than the market's gap_sessions",
        AtLeast("gap_sessions", "missing_sessions", "no price in {missing_sessions} sessions, to {until}", strict=True),
    ),
    soft(
        "coverage",
        SESSIONS,
        "the share of listed symbols with a price reaches the market's minimum_coverage",
        AtLeast(
            "coverage",
            "minimum_coverage",
            "{priced_symbols} of {listed_symbols} listed symbols have a price, {minimum_coverage} of them are wanted",
        ),
    ),
    soft(
        "freshness",
        TABLE,
        "the newest session is not older than the market's stale_after_sessions",
        AtLeast(
            "stale_after_sessions",
            "sessions_behind",
            "the newest session is {newest}, {sessions_behind} sessions before the last closed one, {last_closed}",
        ),
    ),
)
