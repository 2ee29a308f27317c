"""How safe a policy is: simulated candidates, of which it is known what they are worth, sent through the whole gate."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.deployment.decision import decide
from quant_pipelines.evaluation.bootstrap import Resampling
from quant_pipelines.evaluation.comparing import Scored, compared
from quant_pipelines.evaluation.evidence import Evidence, Seen
from quant_pipelines.evaluation.metrics import Judged
from quant_pipelines.evaluation.money import money_measures
from quant_pipelines.evaluation.trading import Costs, Prices, long_short
from quant_pipelines.holdout.trades import QUANTILE, Trades, measures_of
from quant_pipelines.models import Task
from quant_pipelines.strategies import Deployment
from quant_pipelines.validation.holdout import LEAST_HOLDOUT

Matrix = NDArray[np.float64]
Chance = np.random.Generator

_FIRST = datetime(2024, 1, 2)
_COSTS = Costs(buy=0.0005, sell=0.001)
_PERIODS = 243
_LOCKED = 0.01
_OVERNIGHT = 0.005
# A model that is fitted to squared misses moves by little: its forecasts spread a tenth as far as returns.
_SPREAD = 0.1
# What came before is forgotten after so many sessions.
_WARM = 40
_BEGUN = 20
# To know whether the rule is met, no luck is needed: it is read from the values alone.
_QUICK = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A market: its size, how much of a return all names share, and how much of that is left the session after.

    `memory` and `alike` are those of forecasts. `factor` is the share of a return that comes from a second common
    cause, to which names are exposed differently.
    """

    sessions: int
    names: int
    market: float = 0.3
    market_memory: float = 0.2
    factor: float = 0.1
    deviation: float = 0.02
    memory: float = 0.8
    alike: float = 0.2


@dataclass(frozen=True, eq=False, kw_only=True)
class Holdout:
    """Returns that came (sessions x names), and the chance that made them."""

    world: World
    chance: Chance
    returns: Matrix = field(init=False)

    def __post_init__(self) -> None:
        world, shape = self.world, (self.world.sessions, self.world.names)
        together = _remembering(self.chance, (world.sessions, 1), world.market_memory)
        styles = _remembering(self.chance, (world.sessions, 1), world.market_memory)
        exposed = self.chance.standard_normal((1, world.names))
        alone = self.chance.standard_normal(shape)
        parts = ((world.market, together), (world.factor, styles * exposed), (1 - world.market - world.factor, alone))
        made = sum((sqrt(share) * each for share, each in parts), np.zeros(shape))
        object.__setattr__(self, "returns", world.deviation * made)

    @property
    def outcomes(self) -> Matrix:
        return self.returns / self.world.deviation

    def noise(self) -> Matrix:
        """Forecasts that know nothing: they last for days, and partly go the same way for all names."""
        world = self.world
        shared = _remembering(self.chance, (world.sessions, 1), world.memory)
        own = _remembering(self.chance, (world.sessions, world.names), world.memory)
        return sqrt(world.alike) * shared + sqrt(1 - world.alike) * own

    def knowing(self, correlation: float) -> Matrix:
        """Forecasts that correlate with the returns as much as this."""
        return correlation * self.outcomes + sqrt(1 - correlation**2) * self.noise()

    def coin(self) -> Matrix:
        """Up or down, each row for itself."""
        return self.chance.choice((-1.0, 1.0), self.returns.shape) * (1 + 0.1 * self.chance.random(self.returns.shape))

    def overfitted(self) -> Matrix:
        """What least squares learned from half as many columns of noise as it had rows."""
        rows, columns = 120, 60
        learned = self.chance.standard_normal((rows, columns))
        weights = np.linalg.lstsq(learned, self.chance.standard_normal(rows), rcond=None)[0]
        return self.chance.standard_normal((*self.returns.shape, columns)) @ weights


@dataclass(frozen=True, eq=False, kw_only=True)
class Pair:
    """Forecasts of candidate and champion, in deviations of what models forecast. `looks` are those taken before."""

    candidate: Matrix
    champion: Matrix | None
    looks: int = 0


Kind = Callable[[Holdout], Iterator[Pair]]


def _against(candidate: Callable[[Holdout], Matrix], champion: Callable[[Holdout], Matrix]) -> Kind:
    def pairs(holdout: Holdout) -> Iterator[Pair]:
        yield Pair(candidate=candidate(holdout), champion=champion(holdout))

    return pairs


def _first(candidate: Callable[[Holdout], Matrix]) -> Kind:
    def pairs(holdout: Holdout) -> Iterator[Pair]:
        yield Pair(candidate=candidate(holdout), champion=None)

    return pairs


def _always_up(holdout: Holdout) -> Matrix:
    return np.ones(holdout.returns.shape)


def _leaning(by: float) -> Callable[[Holdout], Matrix]:
    """Noise that says up more often, or less often where it leans down."""
    return lambda holdout: holdout.noise() + by


def _copied(holdout: Holdout) -> Iterator[Pair]:
    champion = holdout.knowing(_REAL)
    yield Pair(candidate=champion + 0.5 * holdout.noise(), champion=champion)


def _many(holdout: Holdout) -> Iterator[Pair]:
    """One candidate after the other on the same sessions, each of which counts the ones before it."""
    champion = holdout.noise()
    for number in range(_TRIED):
        yield Pair(candidate=holdout.noise(), champion=champion, looks=number)


def better(correlation: float) -> Kind:
    """A candidate that knows so much, and a champion that knows nothing."""
    return _against(lambda holdout: holdout.knowing(correlation), Holdout.noise)


def first_knowing(correlation: float) -> Kind:
    """A first model that knows so much."""
    return _first(lambda holdout: holdout.knowing(correlation))


_REAL = 0.03
_TRIED = 50
MANY = f"best of {_TRIED}"
# None of these is better than its champion.
WORTHLESS: Mapping[str, Kind] = {
    "coin flips": _against(Holdout.coin, Holdout.coin),
    "always up": _against(_always_up, Holdout.coin),
    "learned from permuted labels": _against(Holdout.noise, Holdout.noise),
    "over-fitted": _against(Holdout.overfitted, Holdout.noise),
    "champion and noise": _copied,
    "leans up": _against(_leaning(0.4), Holdout.noise),
    "champion leans down": _against(Holdout.noise, _leaning(-0.5)),
    MANY: _many,
}
# And of these none is worth anything, with nobody to compare them with.
FIRST: Mapping[str, Kind] = {
    "coin flips": _first(Holdout.coin),
    "always up": _first(_always_up),
    "learned from permuted labels": _first(Holdout.noise),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """Of so many holdouts, in how many a candidate went live: by the whole policy, with its gates off, and by the bare
    rule."""

    holdouts: int
    whole: int
    without_gates: int
    as_specified: int

    @property
    def rate(self) -> float:
        return self.whole / self.holdouts

    def error(self, rate: float) -> float:
        """How far a rate that is found in so many holdouts is off, by chance (one standard error)."""
        return sqrt(rate * (1.0 - rate) / self.holdouts)


def passed(kind: Kind, world: World, policy: Deployment, *, holdouts: int, seed: int = 0) -> Passed:
    """How often any candidate of this kind goes live."""
    found = [
        _gone_live(kind, Holdout(world=world, chance=np.random.default_rng([seed, number])), policy)
        for number in range(holdouts)
    ]
    whole, without_gates, as_specified = (sum(each) for each in zip(*found, strict=True))
    return Passed(holdouts=holdouts, whole=whole, without_gates=without_gates, as_specified=as_specified)


def _gone_live(kind: Kind, holdout: Holdout, policy: Deployment) -> tuple[bool, bool, bool]:
    """By the whole policy, without its gates, and by the bare rule."""
    bare = policy.model_copy(update={"policy": "as_specified"})
    whole = without_gates = as_specified = False
    for pair in kind(holdout):
        # Guards and gates only make it stricter, so what the bare rule refuses needs no closer look.
        if not decide(evidence_of(holdout, pair, resamples=_QUICK), bare).goes_live:
            continue
        as_specified = True
        found = evidence_of(holdout, pair)
        if not decide(found, policy).goes_live:
            continue
        without_gates = True
        whole = whole or decide(_with_money(found, holdout, pair), policy).goes_live
    return whole, without_gates, as_specified


def evidence_of(holdout: Holdout, pair: Pair, *, resamples: int = 2000) -> Evidence:
    """What the evaluation sees of the two, but for money."""
    resampling = Resampling(seed=0, span_sessions=1, resamples=resamples)
    champion = None if pair.champion is None else _scored("champion", holdout, pair.champion)
    candidate, other, gains, ratio = compared(_scored("candidate", holdout, pair.candidate), champion, resampling)
    sessions = holdout.world.sessions
    return Evidence(
        market="simulated",
        strategy="simulated",
        snapshot_id="simulated",
        cutoff=_FIRST + timedelta(days=sessions),
        status="ok" if sessions >= LEAST_HOLDOUT else "insufficient_observation",
        rows=holdout.returns.size,
        sessions=sessions,
        first_session=_FIRST,
        last_session=_FIRST + timedelta(days=sessions - 1),
        candidate=candidate,
        champion=other,
        gains=gains,
        mse_ratio=ratio,
        reads=pair.looks,
        trials=pair.looks + 1,
    )


def _with_money(found: Evidence, holdout: Holdout, pair: Pair) -> Evidence:
    """The candidate's account on prices that moved as the returns say."""
    prices = _prices(holdout)
    scores = np.vstack([pair.candidate, np.full((1, holdout.world.names), np.nan)])
    account = long_short(scores, prices, _COSTS, quantile=QUANTILE)
    measures = money_measures(
        account.returns, periods=_PERIODS, resampling=Resampling(seed=0, span_sessions=1, resamples=_QUICK)
    )
    sessions = np.arange(account.returns.size).astype("datetime64[D]")
    trades = Trades(sessions=sessions, account=account, measures=measures)
    seen: Seen = found.candidate
    with_money = seen.model_copy(update={"measures": {**seen.measures, **measures_of(trades)}})
    return found.model_copy(update={"candidate": with_money})


def _prices(holdout: Holdout) -> Prices:
    """The score of a session is about what comes between the next one's open and close."""
    shape = holdout.returns.shape
    gaps = 1.0 + np.clip(_OVERNIGHT * holdout.chance.standard_normal(shape), -0.5, 0.5)
    moves = np.maximum(1.0 + holdout.returns, 0.5)
    start = np.ones((1, shape[1]))
    close = np.vstack([start, np.cumprod(gaps * moves, axis=0)]).astype(np.float64)
    opened = np.vstack([start, close[:-1] * gaps]).astype(np.float64)
    able = np.vstack([np.zeros((1, shape[1]), bool), holdout.chance.random(shape) >= _LOCKED])
    return Prices(open=opened, close=close, buyable=able, sellable=able)


def _scored(name: str, holdout: Holdout, forecasts: Matrix) -> Scored:
    sessions, names = holdout.returns.shape
    scale = _SPREAD * holdout.world.deviation
    return Scored(
        version=name,
        version_id=name,
        judged=Judged(
            task=Task(),
            predictions=(scale * forecasts).reshape(-1, 1).astype(np.float32),
            target=holdout.returns.reshape(-1, 1).astype(np.float32),
            value=holdout.returns.ravel(),
            sessions=np.repeat(np.arange(sessions), names),
        ),
    )


def _remembering(chance: Chance, shape: tuple[int, int], memory: float) -> Matrix:
    """Shocks with a deviation of 1, of which each session keeps a share of the one before."""
    made = chance.standard_normal((shape[0] + _WARM, shape[1]))
    for at in range(1, len(made)):
        made[at] = memory * made[at - 1] + sqrt(1 - memory**2) * made[at]
    return made[_WARM:]
