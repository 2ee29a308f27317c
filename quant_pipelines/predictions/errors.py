"""From `predictions` and `labels` to `prediction_errors`, for every strategy of a market."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.calendars import Session
from quant_pipelines.label_tables import LABELS
from quant_pipelines.lake import Fence, Lake, Window, Writer, no_fence
from quant_pipelines.markets import Market
from quant_pipelines.monitoring import PREDICTION_ERRORS, prediction_errors
from quant_pipelines.predictions.schema import PREDICTIONS, SERVES, STRATEGY
from quant_pipelines.strategies import Strategy

_ERROR = "absolute_error"


@dataclass(frozen=True, kw_only=True)
class MarketErrors:
    """Publishes sessions of one market's errors. Only scores that counted are judged: what served, not its rivals."""

    market: Market
    lake: Lake

    def session_ids(self, table: str, window: Window) -> Mapping[Session, str]:
        found = self.lake.stored(self.market.name, table)
        return {} if found is None else found.session_ids(window)

    def publish(
        self,
        session: Session,
        strategies: Iterable[Strategy],
        *,
        through: Session,
        writer: Writer,
        fence: Fence = no_fence,
    ) -> Mapping[str, tuple[int, float | None]]:
        """The errors of a session whose labels had resolved; by strategy how many, and their mean."""
        window = Window(session, session)
        served, labels = self._read(PREDICTIONS.name, window), self._read(LABELS.name, window)
        rows: list[pa.Table] = []
        told: dict[str, tuple[int, float | None]] = {}
        for each in strategies:
            mine = served.filter(pc.and_(pc.equal(served[STRATEGY], each.name), served[SERVES]))
            found = prediction_errors(mine, labels, strategy=each.name, label_set=each.label_set, through=through)
            if mine.num_rows:
                told[each.name] = found.num_rows, pc.mean(found[_ERROR]).as_py()
            rows.append(found)
        merged = pa.concat_tables(rows).sort_by([(name, "ascending") for name in PREDICTION_ERRORS.key])
        table = self.lake.table(self.market.name, PREDICTION_ERRORS)
        table.replace(merged, window=window, writer=writer, fence=fence)
        return told

    def _read(self, table: str, window: Window) -> pa.Table:
        found = self.lake.stored(self.market.name, table)
        if found is not None:
            return found.read(window)
        schema = PREDICTIONS if table == PREDICTIONS.name else LABELS
        return schema.arrow.empty_table()
