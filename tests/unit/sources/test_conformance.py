"""What every source of bars promises, run over every implementation.

To add one, write a function that makes a ready source in a folder, and name it in IMPLEMENTATIONS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from quant_pipelines.calendars import Session, calendar_named
from quant_pipelines.clock import FixedClock
from quant_pipelines.markets.market import FilesSource, SyntheticSource
from quant_pipelines.sources.files import FileBars
from quant_pipelines.sources.protocol import BARS, BarRequest, BarSource
from quant_pipelines.sources.synthetic import SyntheticBars

XSHG = calendar_named("XSHG")
SESSIONS = XSHG.sessions(datetime(2024, 1, 2), datetime(2024, 3, 29))
SYMBOLS = ("000001.SZ", "600000.SH", "688001.SH")


def files(folder: Path) -> BarSource:
    """Three symbols in three dialects, one of them with a hole, a duplicate and a row on a Saturday."""
    chance = np.random.default_rng(7)
    for symbol, header, day in zip(
        SYMBOLS,
        (
            "日期,开盘,收盘,最高,最低,成交量,复权因子",
            "date,open,close,high,low,volume,factor",
            "Date,Open,Close,High,Low,Vol,Factor",
        ),
        ("%Y%m%d", "%Y-%m-%d", "%Y/%m/%d"),
        strict=True,
    ):
        close = np.exp(np.cumsum(chance.normal(0, 0.02, len(SESSIONS)))) * 10
        lines = [
            f"{session.strftime(day)},{price:.2f},{price:.2f},{price + 1:.2f},{price - 1:.2f},{at * 100},{1 + at // 20}"
            for at, (session, price) in enumerate(zip(SESSIONS, close, strict=True))
        ]
        if symbol == SYMBOLS[0]:
            saturday = lines[3].replace("20240105", "20240106")
            lines = [*lines[:3], lines[3], lines[3], saturday, *lines[10:]]
        (folder / f"{symbol}.csv").write_text("\n".join([header, *lines]), "utf-8")
    return FileBars(
        FilesSource.model_validate({"kind": "files", "path": folder, "adjustment": {"kind": "factor_column"}}), XSHG
    )


def files_of_adjusted_prices(folder: Path) -> BarSource:
    """One file of many symbols whose vendor adjusted the prices, newest first."""
    lines = [
        f"{symbol},{session:%Y-%m-%d},10,11,9,10,,1" for session in reversed(SESSIONS) for symbol in reversed(SYMBOLS)
    ]
    (folder / "all.csv").write_text("\n".join(["ts_code,trade_date,open,high,low,close,vol,amount", *lines]), "utf-8")
    adjustment = {"kind": "already_adjusted"}
    return FileBars(
        FilesSource.model_validate({"kind": "files", "path": folder / "all.csv", "adjustment": adjustment}), XSHG
    )


def synthetic(folder: Path) -> BarSource:
    """Half a year of an invented market, standing still in time."""
    config = SyntheticSource(kind="synthetic", seed=7, symbols=12, sectors=3)
    return SyntheticBars(config, XSHG, datetime(2024, 1, 2), FixedClock(datetime(2024, 6, 28, 20, tzinfo=UTC)))


IMPLEMENTATIONS: dict[str, Callable[[Path], BarSource]] = {
    "files": files,
    "files of adjusted prices": files_of_adjusted_prices,
    "synthetic": synthetic,
}


@dataclass(frozen=True)
class Opened:
    """A source, opened twice over the same data, and all it knows."""

    source: BarSource
    again: BarSource
    everything: pa.Table


ALWAYS = BarRequest(first=datetime(1900, 1, 1), last=datetime(2199, 12, 31))


@pytest.fixture(scope="module", params=list(IMPLEMENTATIONS))
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    make, folder = IMPLEMENTATIONS[request.param], tmp_path_factory.mktemp("source")
    source = make(folder)
    return Opened(source, make(folder), source.bars(ALWAYS))


def labels(table: pa.Table) -> list[Session]:
    return table["session"].to_pylist()


def test_it_answers_in_exactly_the_agreed_schema(opened: Opened):
    assert opened.everything.schema.equals(BARS, check_metadata=True)
    opened.everything.validate(full=True)
    assert opened.everything.num_rows > 0
    assert opened.everything["session"].null_count == opened.everything["symbol"].null_count == 0


def test_a_missing_value_is_null_and_never_a_nan_or_infinity(opened: Opened):
    for name in BARS.names[2:]:
        assert pc.all(pc.is_finite(opened.everything[name].drop_null())).as_py() is not False, name


def test_rows_are_sorted_by_session_and_symbol(opened: Opened):
    keys = list(zip(labels(opened.everything), opened.everything["symbol"].to_pylist(), strict=True))
    assert keys == sorted(keys)


def test_only_labels_and_symbols_asked_for_are_delivered(opened: Opened):
    known = labels(opened.everything)
    first, last = known[len(known) // 3], known[len(known) // 2]
    symbol = opened.source.listings()[-1].symbol
    part = opened.source.bars(BarRequest(first=first, last=last, symbols=frozenset({symbol, "nobody knows me"})))
    assert part.num_rows > 0
    assert set(part["symbol"].to_pylist()) == {symbol}
    assert first <= min(labels(part))
    assert max(labels(part)) <= last


def test_a_wider_answer_contains_a_narrower_one(opened: Opened):
    wide = opened.everything
    known = sorted(set(labels(wide)))
    for first, last in ((0, 0), (3, 5), (len(known) // 2, len(known) - 1)):
        request = BarRequest(first=known[first], last=known[last])
        inside = pc.and_(
            pc.greater_equal(wide["session"], pa.scalar(request.first, wide["session"].type)),
            pc.less_equal(wide["session"], pa.scalar(request.last, wide["session"].type)),
        )
        assert opened.source.bars(request).equals(wide.filter(inside).combine_chunks())


def test_a_symbol_answers_the_same_alone_and_among_others(opened: Opened):
    for listing in opened.source.listings():
        alone = opened.source.bars(
            BarRequest(first=ALWAYS.first, last=ALWAYS.last, symbols=frozenset({listing.symbol}))
        )
        among = opened.everything.filter(pc.equal(opened.everything["symbol"], listing.symbol))
        assert alone.equals(among.combine_chunks())


def test_nothing_asked_for_is_an_empty_table_of_the_schema(opened: Opened):
    beyond = datetime(1900, 1, 1)
    nothing = (
        BarRequest(first=beyond, last=beyond),
        BarRequest(first=ALWAYS.first, last=ALWAYS.last, symbols=frozenset()),
        BarRequest(first=ALWAYS.first, last=ALWAYS.last, symbols=frozenset({"nobody knows me"})),
    )
    for request in nothing:
        answer = opened.source.bars(request)
        assert (answer.num_rows, answer.schema) == (0, BARS)


def test_the_same_request_gives_the_same_rows(opened: Opened):
    assert opened.source.bars(ALWAYS).equals(opened.everything)
    assert opened.again.bars(ALWAYS).equals(opened.everything)


def test_the_watermark_is_stable_and_names_the_last_session(opened: Opened):
    watermark = opened.source.watermark()
    assert watermark == opened.source.watermark() == opened.again.watermark()
    assert watermark.last_session == max(labels(opened.everything))
    assert watermark.token


def test_listings_are_sorted_and_cover_every_bar(opened: Opened):
    listings = opened.source.listings()
    assert [listing.symbol for listing in listings] == sorted({listing.symbol for listing in listings})
    assert set(opened.everything["symbol"].to_pylist()) <= {listing.symbol for listing in listings}
    spans = {listing.symbol: listing for listing in listings}
    for session, symbol in zip(labels(opened.everything), opened.everything["symbol"].to_pylist(), strict=True):
        assert spans[symbol].listed <= session
        assert spans[symbol].delisted is None or session <= spans[symbol].delisted


def test_a_factor_starts_at_one_and_stays_positive(opened: Opened):
    for listing in opened.source.listings():
        mine = opened.everything.filter(pc.equal(opened.everything["symbol"], listing.symbol))
        factor = mine["factor"].drop_null().to_pylist()
        if factor:
            assert factor[0] == pytest.approx(1.0)
            assert min(factor) > 0


def test_labels_carry_no_zone(opened: Opened):
    assert all(label.tzinfo is None for label in labels(opened.everything))


def test_it_has_a_name_and_says_whether_its_prices_are_raw(opened: Opened):
    assert opened.source.name == opened.again.name
    assert 0 < len(opened.source.name.splitlines()) == 1
    assert isinstance(opened.source.prices_are_raw, bool)
