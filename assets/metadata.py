"""What a person sees beside a materialisation: numbers, a plot, a preview, a schema."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from quant_pipelines.arrays import SESSION
from quant_pipelines.calendars import session_key
from quant_pipelines.lake.schemas import TableSchema

PREVIEW_ROWS = 8
_WIDTH, _HEIGHT, _MARGIN = 640, 160, 24


def column_schema(schema: TableSchema) -> Mapping[str, Any]:
    """The table's columns as the UI's Columns tab shows them."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=str(column.type),
            description=column.description,
            constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=False),
        )
        for column in schema.columns
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}


def records(rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """Rows of plain values as a table in the UI."""
    names = list(rows[0]) if rows else ["nothing"]
    schema = dg.TableSchema(columns=[dg.TableColumn(name=name, type="string") for name in names])
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: _shown(value) for name, value in row.items()}) for row in rows], schema=schema
    )


def short(value: float | None) -> float | None:
    """A number with the digits that a person reads; the exact one stands on record elsewhere."""
    return None if value is None else float(f"{value:.6g}")


def preview(table: pa.Table, *, columns: Sequence[str] | None = None) -> dg.TableMetadataValue:
    """The last rows, as a table in the UI."""
    tail = table.select(columns or table.column_names).slice(max(0, table.num_rows - PREVIEW_ROWS))
    return records(tail.to_pylist())


def _shown(value: Any) -> str | int | float | bool:
    if value is None:
        return ""
    if isinstance(value, datetime) and value.tzinfo is None:
        return session_key(value)
    return value if isinstance(value, str | int | float | bool) else str(value)


def line_plot(title: str, values: np.ndarray, *, first: str, last: str) -> dg.MarkdownMetadataValue:
    """A line over the sessions, small enough to be stored with every partition."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return dg.MetadataValue.md(f"{title}: nothing to plot.")
    low, high = float(finite.min()), float(finite.max())
    svg = _svg(title, values, low, high, first=first, last=last)
    encoded = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{encoded})")


def _svg(title: str, values: np.ndarray, low: float, high: float, *, first: str, last: str) -> str:
    span = (high - low) or 1.0
    x = np.linspace(_MARGIN, _WIDTH - _MARGIN, max(values.size, 2))[: values.size]
    y = _HEIGHT - _MARGIN - (values - low) / span * (_HEIGHT - 2 * _MARGIN)
    shown = np.isfinite(values)
    points = " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(x[shown], y[shown], strict=True))
    text = 'font-family="sans-serif" font-size="11" fill="#555"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}">'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<polyline fill="none" stroke="#3a5fcd" stroke-width="1.5" points="{points}"/>'
        f'<text x="{_MARGIN}" y="14" {text}>{title}</text>'
        f'<text x="{_MARGIN}" y="{_HEIGHT - 6}" {text}>{first}</text>'
        f'<text x="{_WIDTH - _MARGIN}" y="{_HEIGHT - 6}" text-anchor="end" {text}>{last}</text>'
        f'<text x="{_WIDTH - _MARGIN}" y="14" text-anchor="end" {text}>{low:.4g} .. {high:.4g}</text></svg>'
    )


def picture(title: str, content: bytes) -> dg.MarkdownMetadataValue:
    """A PNG beside the numbers."""
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(content).decode()})")


def rows_by_session(table: pa.Table) -> dict[Any, int]:
    """How many rows each session has."""
    counted = table.group_by(SESSION).aggregate([(SESSION, "count")])
    return dict(zip(counted[SESSION].to_pylist(), counted[f"{SESSION}_count"].to_pylist(), strict=True))


def span_of(table: pa.Table) -> str:
    """First and last session, as people write them."""
    if table.num_rows == 0:
        return "nothing"
    sessions = table[SESSION].to_numpy()
    return f"{sessions.min()!s:.10} .. {sessions.max()!s:.10}"
