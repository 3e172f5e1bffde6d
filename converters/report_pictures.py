"""Pictures as SVG inside a page, so that the page's style decides their colours in light and in dark.

Numbers alone go into them, so nothing needs escaping.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edge_sdk.tensors import FloatArray

_WIDTH, _HEIGHT, _MARGIN = 240, 110, 6
_BAR = 6


def curves(rows: FloatArray) -> Markup:
    """Return a picture of curves over the same time, shape (curves, time), at one scale, the first on top."""
    low, high = float(rows.min()), float(rows.max())
    across = (_WIDTH - 2 * _MARGIN) / max(rows.shape[1] - 1, 1)
    up = (_HEIGHT - 2 * _MARGIN) / ((high - low) or 1.0)
    lines = []
    for order, row in reversed(list(enumerate(rows.tolist()))):
        points = (f"{_MARGIN + i * across:.1f},{_HEIGHT - _MARGIN - (y - low) * up:.1f}" for i, y in enumerate(row))
        lines.append(f'<polyline class="c{order}" points="{" ".join(points)}"/>')
    return _picture("".join(lines), height=_HEIGHT)


def scatter(across: FloatArray, up: FloatArray) -> Markup:
    """Return a picture of points between 0 and 1, each of shape (points,), and the line where both are the same."""
    side = _WIDTH - 2 * _MARGIN
    points = (
        f"M{_MARGIN + x * side:.1f} {_MARGIN + (1 - y) * side:.1f}h0"
        for x, y in zip(across.tolist(), up.tolist(), strict=True)
    )
    diagonal = f'<line x1="{_MARGIN}" y1="{_MARGIN + side}" x2="{_MARGIN + side}" y2="{_MARGIN}"/>'
    return _picture(f'{diagonal}<path d="{"".join(points)}"/>', height=_WIDTH)


def ranges(rows: Sequence[tuple[float, float, float]]) -> Markup:
    """Return a picture of ranges (low, middle, high), one below the other at one scale, the middle marked."""
    lowest, highest = min(low for low, _, _ in rows), max(high for _, _, high in rows)
    scale = (_WIDTH - 2 * _MARGIN) / ((highest - lowest) or 1.0)
    bars = []
    for order, row in enumerate(rows):
        low, middle, high = (_MARGIN + (value - lowest) * scale for value in row)
        top = 2 + order * (_BAR + 2)
        bars.append(
            f'<rect class="c{order}" x="{low:.1f}" y="{top}" width="{max(high - low, 1):.1f}" height="{_BAR}"/>'
        )
        bars.append(f'<rect class="middle" x="{middle - 1:.1f}" y="{top}" width="2" height="{_BAR}"/>')
    return _picture("".join(bars), height=2 + len(rows) * (_BAR + 2))


def _picture(content: str, *, height: int) -> Markup:
    return Markup(f'<svg viewBox="0 0 {_WIDTH} {height}" aria-hidden="true">{content}</svg>')  # noqa: S704
