"""Curves as SVG inside a page, so that the page's style decides their colours in light and in dark."""

from __future__ import annotations

from markupsafe import Markup

from edge_sdk.tensors import FloatArray

_WIDTH, _HEIGHT, _MARGIN = 240, 110, 6


def curves(rows: FloatArray) -> Markup:
    """Return a picture of curves over the same time, shape (curves, time), at one scale, the first on top."""
    low, high = float(rows.min()), float(rows.max())
    across = (_WIDTH - 2 * _MARGIN) / max(rows.shape[1] - 1, 1)
    up = (_HEIGHT - 2 * _MARGIN) / ((high - low) or 1.0)
    lines = []
    for order, row in reversed(list(enumerate(rows.tolist()))):
        points = (f"{_MARGIN + i * across:.1f},{_HEIGHT - _MARGIN - (y - low) * up:.1f}" for i, y in enumerate(row))
        lines.append(f'<polyline class="c{order}" points="{" ".join(points)}"/>')
    # Numbers alone went in, so nothing needs escaping.
    return Markup(f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true">{"".join(lines)}</svg>')  # noqa: S704
