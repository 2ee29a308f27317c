"""Who serves which symbol: fair, the same everywhere, and nobody leaves when the share grows (X-25)."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.deployment import Live, Placed, Ref, places, routes, served
from quant_pipelines.digest import digest_bytes
from tests.rollouts import day

SYMBOLS = [f"{number:06d}.{'SH' if number % 2 else 'SZ'}" for number in range(10_000)]
STRATEGIES = ["demo.demo_lightgbm", "demo.demo_lstm", "crypto.candles", "cn.alpha158", "us.momentum"]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("percent", [10, 30, 100])
def test_the_share_is_within_one_percent_on_ten_thousand_symbols(strategy, percent):
    assert served(strategy, SYMBOLS, percent).mean() == pytest.approx(percent / 100, abs=0.01)


@given(st.text(max_size=20), st.integers(0, 100))
def test_the_share_is_fair_for_whatever_name_as_far_as_chance_allows(salt, percent):
    share = percent / 100
    chance = 5 * math.sqrt(share * (1 - share) / len(SYMBOLS))
    assert served(salt, SYMBOLS, percent).mean() == pytest.approx(share, abs=max(chance, 1e-12))


@given(st.text(max_size=20), st.lists(st.text(max_size=10), unique=True, max_size=50), st.data())
def test_who_is_in_stays_in_and_others_do_not_matter(salt, symbols, data):
    less, more = sorted(data.draw(st.tuples(st.integers(0, 100), st.integers(0, 100))))
    assert not (served(salt, symbols, less) & ~served(salt, symbols, more)).any()
    order = data.draw(st.permutations(symbols))
    alone = dict(zip(order, served(salt, order, less), strict=True))
    assert [alone[each] for each in symbols] == served(salt, symbols, less).tolist()


def test_places_agree_with_their_definition():
    expected = [int(digest_bytes(b"s\0", each.encode())[:16], 16) / 2**64 for each in SYMBOLS[:100]]
    np.testing.assert_array_equal(places("s", SYMBOLS[:100]), expected)
    assert places("s", []).tolist() == []


def test_strategies_draw_different_symbols():
    one, other = (served(each, SYMBOLS, 10) for each in STRATEGIES[:2])
    assert (one & other).mean() == pytest.approx(0.01, abs=0.004)


def test_five_thousand_symbols_take_milliseconds():
    best = min(_seconds(lambda: places("demo.candles", SYMBOLS[:5000])) for _ in range(5))
    assert best < 0.05


def test_every_symbol_is_served_by_the_champion_or_the_canary():
    champion = Placed(version=Ref(number=1, id="a"), stage=100, since=day(0), row=1, decision=None)
    canary = champion.model_copy(update={"version": Ref(number=2, id="b"), "stage": 30})
    found = routes(Live(model="m", champion=champion, canary=canary), SYMBOLS)
    chosen = served("m", SYMBOLS, 30)
    assert [found[each].number for each in SYMBOLS] == np.where(chosen, 2, 1).tolist()
    assert routes(Live(model="m"), SYMBOLS) == {}
    assert set(routes(Live(model="m", champion=champion), SYMBOLS).values()) == {champion.version}


def _seconds(act) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun
