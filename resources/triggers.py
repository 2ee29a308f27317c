"""What training triggers look at, as a resource: the journal, the environment's thresholds, and stored errors."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import dagster as dg

from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import Journal, open_journal
from quant_pipelines.lake import Lake
from quant_pipelines.markets import Market
from quant_pipelines.monitoring import SessionErrors, errors_by_strategy
from quant_pipelines.settings import Settings
from quant_pipelines.strategies import Retrain, Strategy
from quant_pipelines.triggers import effective


class TriggersResource(dg.ConfigurableResource):
    """Below this home, but for the journal where PostgreSQL's URL is set."""

    home: str

    def journal(self) -> Journal:
        return open_journal(self._settings, clock=SystemClock())

    def policies(self) -> Callable[[Strategy], Retrain]:
        """Each strategy's policy, with the environment's thresholds over it; the environment is read once."""
        settings = self._settings
        return lambda strategy: effective(strategy.retrain, settings)

    def errors(self, lake: Lake) -> Callable[[Market, Strategy], SessionErrors]:
        """The stored prediction errors of a strategy; none while nobody has published any.

        A market's are read once: every strategy is asked at the same look, and a decay is against all that went before.
        """
        read = cache(lambda market: errors_by_strategy(lake, market))
        return lambda market, strategy: read(market.name).get(strategy.name, SessionErrors.none())

    @property
    def _settings(self) -> Settings:
        return Settings(home=Path(self.home))
