"""markets.yaml: what it gives, and what it says when something is wrong."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from quant_pipelines.clock import FixedClock
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.markets import BadDocument, load_markets
from quant_pipelines.markets.market import FilesSource, SyntheticSource
from quant_pipelines.markets.rules import UnknownBoard, load_rules
from quant_pipelines.sources import open_source

SHIPPED = Path(__file__).parents[3] / "markets.yaml"
CLOCK = FixedClock(datetime(2024, 6, 3, 12, tzinfo=UTC))

ONE = """markets:
  demo:
    description: A test.
    calendar: XSHG
    currency: CNY
    first_session: 2020-01-02
    source: {kind: synthetic, seed: 3}
    missing_bar: suspended
    rules: a_share
"""
CRYPTO = """markets:
  coins:
    description: A test.
    calendar: 24/7
    currency: USD
    first_session: 2020-01-02
    source:
      kind: files
      path: data/coins
    universe: {symbols: [BTC, ON, NO]}
    missing_bar: gap
    rules: crypto
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "markets.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal_of(path: Path) -> BadDocument:
    with pytest.raises(BadDocument) as refusal:
        load_markets(path)
    return refusal.value


def test_the_shipped_markets_load_without_their_files():
    markets = load_markets(SHIPPED)
    assert list(markets) == ["demo", "crypto", "us"]
    assert [markets[name].calendar for name in markets] == ["XSHG", "24/7", "XNYS"]
    assert [markets[name].rules for name in markets] == ["a_share", "crypto", "us_equity"]
    assert markets["crypto"].universe.symbols == ("BTC", "ETH", "SOL")
    assert all(market.owner and market.description for market in markets.values())
    assert len({hash(market) for market in markets.values()}) == 3


def test_the_commented_market_can_be_uncommented(tmp_path):
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    begin = lines.index("  # cn:")
    text = "\n".join([*lines[:begin], *(line.replace("# ", "", 1) for line in lines[begin:])])
    chinese = load_markets(written(tmp_path, text + "\n"))["cn"]
    assert isinstance(chinese.source, FilesSource)
    assert (chinese.source.units.volume, chinese.source.units.amount) == (100, 1000)
    assert chinese.rules == "a_share"


def test_an_entry_becomes_a_market(tmp_path):
    market = load_markets(written(tmp_path, ONE))["demo"]
    assert (market.name, market.first_session, market.bar) == ("demo", date(2020, 1, 2), "1d")
    assert market.source == SyntheticSource(kind="synthetic", seed=3)


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    text = CRYPTO.replace(
        "[BTC, ON, NO]}", "[BTC]}\n    fallback: {kind: files, path: /elsewhere, adjustment: {path: f}}"
    )
    market = load_markets(written(tmp_path, text))["coins"]
    assert isinstance(market.source, FilesSource)
    assert market.source.path == tmp_path / "data/coins"
    assert isinstance(market.fallback, FilesSource)
    assert market.fallback.path == Path("/elsewhere")
    assert market.fallback.adjustment.path == tmp_path / "f"


def test_a_relative_file_name_gives_absolute_paths(tmp_path, monkeypatch):
    written(tmp_path, CRYPTO)
    monkeypatch.chdir(tmp_path)
    assert load_markets(Path("markets.yaml")) == load_markets(tmp_path / "markets.yaml")


def test_one_setting_feeds_every_crypto_universe(tmp_path):
    """S1-65, X-01: LIQUID_SYMBOLS replaces the list of a crypto market, and of no other."""
    path = written(tmp_path, ONE.replace("rules: a_share", "rules: a_share\n    universe: {symbols: [600001.SH]}"))
    path.write_text(path.read_text() + CRYPTO.removeprefix("markets:\n"))
    assert load_markets(path)["coins"].universe.symbols == ("BTC", "ON", "NO")  # tickers, not booleans
    markets = load_markets(path, liquid_symbols=("XRP", "SOL"))
    assert markets["coins"].universe.symbols == ("XRP", "SOL")
    assert markets["demo"].universe.symbols == ("600001.SH",)


BROKEN = {
    "typo in a field": ("currency", "curency", 5, "did you mean 'currency'?"),
    "typo in a nested field": ("seed: 3", "sed: 3", 7, "found the unknown field 'sed'; did you mean 'seed'?"),
    "missing field": ("    currency: CNY\n", "", 2, "markets.demo.currency: this field is missing; add it"),
    "missing kind": ("kind: synthetic, ", "", 7, "the field 'kind' is missing"),
    "unknown kind": ("kind: synthetic", "kind: synthetc", 7, "found kind 'synthetc'; did you mean 'synthetic'?"),
    "unknown calendar": ("XSHG", "XSHH", 4, "Unknown calendar 'XSHH'. Did you mean"),
    "unknown rules": ("a_share", "a_shares", 9, "did you mean 'a_share'?"),
    "unknown choice": ("suspended", "suspend", 8, "found 'suspend', expected 'suspended' or 'gap'; did you mean"),
    "wrong number": ("seed: 3", "seed: three", 7, "found 'three', expected: Input should be a valid integer"),
    "wrong date": ("2020-01-02", "2020-13-02", 6, "found '2020-13-02', which cannot be read"),
    "text as a date": ("2020-01-02", "soon", 6, "markets.demo.first_session: found 'soon', expected"),
    "percent": ("rules:", "quality: {minimum_coverage: 80}\n    rules:", 9, "less than or equal to 1"),
    "code as a number": ("rules:", "universe: {symbols: [600001]}\n    rules:", 9, "put it in quotes"),
    "no symbols": ("rules:", "universe: {symbols: []}\n    rules:", 9, "found an empty list"),
    "symbol twice": ("rules:", "universe: {symbols: [A, B, A]}\n    rules:", 9, "found A more than once"),
    "list and file": (
        "rules:",
        "universe: {symbols: [A], file: x.csv}\n    rules:",
        9,
        "found both 'symbols' and 'file'",
    ),
    "hourly exchange": ("rules:", "bar: 1h\n    rules:", 4, "daily sessions only"),
    "wrong bar": ("rules:", "bar: 2h\n    rules:", 9, "found '2h', expected '1d' or '1h'"),
    "name inside": ("rules:", "name: demo\n    rules:", 9, "a market's name is its key; remove this field"),
    "bad name": ("  demo:", "  Demo:", 2, "found 'Demo', expected"),
    "duplicate field": ("rules:", "currency: USD\n    rules:", 9, "stands here a second time (first on line 5)"),
    "duplicate market": (
        "    rules: a_share\n",
        "    rules: a_share\n  demo: {}\n",
        10,
        "second time (first on line 2)",
    ),
    "no fields": ("markets:\n", "markets:\n  other:\n", 2, "found None, expected the fields of a market"),
    "other top": (
        "markets:\n",
        "market: {}\nmarkets:\n",
        1,
        "found the unknown field 'market'; did you mean 'markets'?",
    ),
    "alias": ("seed: 3}", "seed: &s 3, symbols: *s}", 7, "found the alias *s; write the value out"),
    "merge": ("rules:", "<<: {}\n    rules:", 9, "tag:yaml.org,2002:merge"),
    "python tag": ("A test.", "!!python/name:os.system x", 3, "cannot be read"),
    "broken quotes": ("A test.", "'A test.", 10, "while scanning a quoted scalar from line 3"),
    "tab": ("    calendar", "\tcalendar", 4, "this is no YAML"),
    "number as a key": ("rules:", "7: x\n    rules:", 9, "found 7 as a field's name"),
}


@pytest.mark.parametrize(("found", "broken", "line", "told"), BROKEN.values(), ids=BROKEN)
def test_a_mistake_is_told_with_its_line_and_remedy(tmp_path, found, broken, line, told):
    assert load_markets(written(tmp_path, ONE))  # control
    assert found in ONE
    refusal = str(refusal_of(written(tmp_path, ONE.replace(found, broken, 1))))
    assert refusal.startswith(f"{tmp_path / 'markets.yaml'} has ")
    [sentence] = [each for each in refusal.splitlines() if told in each]
    assert sentence.startswith(f"  line {line}, ")


def test_all_mistakes_are_told_at_once(tmp_path):
    text = ONE.replace("currency", "curency").replace("XSHG", "XSHH").replace("seed: 3", "sed: 3")
    text = text.replace("a_share", "b_share").replace("2020-01-02", "2020-13-02") + CRYPTO.removeprefix("markets:\n")
    refusal = refusal_of(written(tmp_path, text.replace("gap", "hole")))
    assert [each.line for each in refusal.problems] == [2, 4, 5, 6, 7, 9, 19]
    assert "7 mistakes" in str(refusal)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "found no entries under 'markets:'"),
        (b"markets:\n", "found no entries under 'markets:'"),
        (b"- a\n", "found no entries under 'markets:'"),
        (b"markets: \xff\n", "not UTF-8"),
        (b"markets: \x00\n", "no YAML"),
        (b"#" * 1_000_001, "expected at most 1000000"),
        (b"[" * 5_000, "YAML|nested too deeply"),
        (b"{a: " * 900 + b"}" * 900, "nested too deeply|no YAML"),
    ],
)
def test_what_is_no_markets_file_is_refused(tmp_path, content, told):
    path = tmp_path / "markets.yaml"
    path.write_bytes(content)
    with pytest.raises(BadDocument, match=told):
        load_markets(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadDocument, match=r"nowhere\.yaml .*\n.* cannot be read \(No such file"):
        load_markets(tmp_path / "nowhere.yaml")


def test_a_file_with_a_byte_order_mark_loads(tmp_path):
    path = tmp_path / "markets.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + ONE.encode())
    assert list(load_markets(path)) == ["demo"]


def test_a_synthetic_market_opens_under_its_own_rules(tmp_path):
    market = load_markets(written(tmp_path, ONE))["demo"]
    source = open_source(market, CLOCK)
    assert source.name == "synthetic:3"
    assert source.watermark().last_session == datetime(2024, 6, 3)
    book = load_rules("a_share")
    assert {book.board_of(listing.symbol).name for listing in source.listings()} == {"main", "chinext", "star"}
    other = open_source(market.model_copy(update={"rules": "us_equity"}), CLOCK)
    with pytest.raises(UnknownBoard):
        book.board_of(other.listings()[0].symbol)


def test_a_market_of_files_says_what_is_missing_once_it_is_used(tmp_path):
    market = load_markets(written(tmp_path, CRYPTO))["coins"]
    with pytest.raises(QuantPipelinesError, match="data/coins"):
        open_source(market, CLOCK).watermark()
