"""How the project writes market data in memory: names and types that every layer shares."""

import pyarrow as pa

SESSION = "session"
SYMBOL = "symbol"
# A label without a zone, see calendars.Session.
SESSION_TYPE = pa.timestamp("us")
