"""Plots as SVG text or PNG bytes. The same plot has the same bytes, and nothing of the process is touched."""

import io
from collections.abc import Callable
from typing import Any

# Given the axes of an empty figure.
Draw = Callable[[Any], None]
_WIDTH, _HEIGHT, _DOTS = 9.0, 3.2, 100


def svg(draw: Draw, *, height: float = _HEIGHT) -> str:
    """The plot as an element of a page."""
    text = _saved(draw, height, "svg", {"Date": None}).decode()
    return text[text.index("<svg") :]


def png(draw: Draw, *, height: float = _HEIGHT) -> bytes:
    """The plot as a picture."""
    return _saved(draw, height, "png", {"Software": None})


def _saved(draw: Draw, height: float, form: str, metadata: dict[str, Any]) -> bytes:
    # Imported here: a process that only draws the graph of assets does not need it.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "quant_pipelines", "font.size": 8, "axes.spines.top": False}):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained", dpi=_DOTS)
        draw(figure.subplots())
        sink = io.BytesIO()
        figure.savefig(sink, format=form, metadata=metadata)
    return sink.getvalue()
