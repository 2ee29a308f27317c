"""The strategies of strategies.yaml, for the assets that are made of them."""

from collections.abc import Iterable, Mapping

from assets.features import registry_of
from quant_pipelines.labels import LABEL_SETS
from quant_pipelines.markets import Market
from quant_pipelines.settings import Settings
from quant_pipelines.strategies import Known, Strategy, load_strategies


def strategies_by_market(settings: Settings, markets: Iterable[Market]) -> Mapping[str, Mapping[str, Strategy]]:
    """Each market's strategies by name; a market without any has none."""
    by_name = {each.name: each for each in markets}
    known = Known(markets=by_name, features=registry_of, label_sets=LABEL_SETS)
    found: dict[str, dict[str, Strategy]] = {name: {} for name in by_name}
    for name, strategy in load_strategies(settings.strategies_path, known).items():
        found[strategy.market][name] = strategy
    return found
