"""Is everything there that a model of a strategy is trained on, up to a session?"""

from collections.abc import Set
from dataclasses import dataclass, field

import pyarrow as pa

from quant_pipelines.arrays import SESSION
from quant_pipelines.calendars import Session
from quant_pipelines.feature_tables import feature_schema
from quant_pipelines.features.registry import FeatureRegistry
from quant_pipelines.labels import LABEL_SET, LABEL_SETS
from quant_pipelines.lake import Lake, Window
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.markets import Market
from quant_pipelines.strategies import Strategy

_LABELS = "labels"
_PAIR = [LABEL_SET, SESSION]


@dataclass(frozen=True)
class ModelInputs:
    """Looks into one market's tables, and into each once for a window: make a new one for every look."""

    lake: Lake
    market: Market
    registry: FeatureRegistry
    _held: dict[tuple[str, Window], Set[Session]] = field(default_factory=dict)
    _labelled: dict[Window, Set[tuple[str, Session]]] = field(default_factory=dict)

    def there(self, strategy: Strategy, window: Window) -> set[Session]:
        """Sessions of the window with prices, the strategy's features, and the labels that the session resolved."""
        tables = [PRICES.name, *(feature_schema(features).name for features, _ in strategy.chosen(self.registry))]
        found = set.intersection(*(set(self._sessions(name, window)) for name in tables))
        if not found:
            return found
        calendar, label_set = self.market.sessions_calendar, LABEL_SETS[strategy.label_set]
        signals = {session: label_set.resolved_in(session, calendar) for session in found}
        behind = Window(min(signals.values()), max(signals.values()))
        priced, labelled = self._sessions(PRICES.name, behind), self._labels(behind)
        # A signal without prices never gets a label.
        return {
            session
            for session, signal in signals.items()
            if signal not in priced or (label_set.name, signal) in labelled
        }

    def _sessions(self, name: str, window: Window) -> Set[Session]:
        key = (name, window)
        if key not in self._held:
            table = self.lake.stored(self.market.name, name)
            self._held[key] = frozenset() if table is None else frozenset(table.session_ids(window))
        return self._held[key]

    def _labels(self, window: Window) -> Set[tuple[str, Session]]:
        """Label sets and the signals that have a label of them."""
        if window not in self._labelled:
            table = self.lake.stored(self.market.name, _LABELS)
            self._labelled[window] = frozenset() if table is None else _pairs(table.read(window, columns=_PAIR))
        return self._labelled[window]


def _pairs(rows: pa.Table) -> Set[tuple[str, Session]]:
    distinct = rows.group_by(_PAIR).aggregate([])
    return frozenset(zip(distinct[LABEL_SET].to_pylist(), distinct[SESSION].to_pylist(), strict=True))
