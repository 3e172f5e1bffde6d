"""Pictures as SVG inside a page, so that the page's style decides their colours in light and in dark.

Numbers go into them, and names that are escaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from edge_sdk.tensors import FloatArray

_WIDTH, _HEIGHT, _MARGIN = 240, 110, 6
_BAR = 6
_PLOT_WIDTH, _PLOT_HEIGHT = 420, 200
_LETTER, _NAME = 11, 95  # a name's height, and how far it may reach
_AXIS, _TOP, _BOTTOM = 48, 14, 30  # room for the figures at the sides


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


def points(across: FloatArray, up: FloatArray) -> Markup:
    """Return a picture of points, each of shape (points,), at one scale for both axes, and the line of equals."""
    low = min(float(across.min()), float(up.min()))
    spread = (max(float(across.max()), float(up.max())) - low) or 1.0
    return scatter((across - low) / spread, (up - low) / spread)


def reliability(confidence: Sequence[float], right: Sequence[float]) -> Markup:
    """Return a picture of the share that is right (up) for each confidence (across), 0 to 1."""
    side = _WIDTH - 2 * _MARGIN
    marks = (f"{_MARGIN + x * side:.1f},{_MARGIN + (1 - y) * side:.1f}" for x, y in zip(confidence, right, strict=True))
    diagonal = f'<line x1="{_MARGIN}" y1="{_MARGIN + side}" x2="{_MARGIN + side}" y2="{_MARGIN}"/>'
    return _picture(f'{diagonal}<polyline class="c0" points="{" ".join(marks)}"/>', height=_WIDTH)


def trade_off(names: Sequence[str], across: Sequence[float], up: Sequence[float], *, chosen: str, unit: str) -> Markup:
    """Return a picture of named points, ``across`` on a logarithmic scale in ``unit``, percent up, one marked."""
    xs = [math.log(value) for value in across]
    left, lowest = min(xs), min(up)
    width, height = (max(xs) - left) or 1.0, (max(up) - lowest) or 1.0
    marks = [
        _words(_AXIS, _PLOT_HEIGHT - 4, f"{min(across):.3g} {unit}"),
        _words(_PLOT_WIDTH - _NAME, _PLOT_HEIGHT - 4, f"{max(across):.3g} {unit}"),
        _words(2, _TOP + 4, f"{max(up):.2f} %"),
        _words(2, _PLOT_HEIGHT - _BOTTOM + 4, f"{lowest:.2f} %"),
    ]
    taken: list[tuple[float, float]] = []
    for name, x, y in zip(names, xs, up, strict=True):
        at = _AXIS + 6 + (x - left) / width * (_PLOT_WIDTH - _AXIS - _NAME - 6)
        level = _PLOT_HEIGHT - _BOTTOM - (y - lowest) / height * (_PLOT_HEIGHT - _BOTTOM - _TOP)
        text = level
        while any(abs(text - other) < _LETTER and abs(at - where) < _NAME for where, other in taken):
            text += _LETTER if level < _PLOT_HEIGHT / 2 else -_LETTER
        taken.append((at, text))
        kind = "chosen" if name == chosen else "tried"
        marks.append(f'<circle class="{kind}" cx="{at:.1f}" cy="{level:.1f}" r="4"/>')
        marks.append(_words(at + 7, text + 4, name, kind=kind))
    return _picture("".join(marks), height=_PLOT_HEIGHT, width=_PLOT_WIDTH)


def _words(x: float, y: float, text: str, *, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


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


def _picture(content: str, *, height: int, width: int = _WIDTH) -> Markup:
    return Markup(f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{content}</svg>')  # noqa: S704
