"""A wearable's clock against the gateway's, from nothing but when its messages arrive.

A message arrives when it was sent plus a delay that is never negative. Drawn over the wearable's time, the arrivals lie
above a line whose slope is the clocks' drift and whose height is their offset plus the smallest delay. It is found from
the points' lower convex hull (Moon, Skelly and Towsley 1999, *Estimation and removal of clock skew from network delay
measurements*, who take the edge beneath the mean; across the middle half of the hull the worst of 60 runs errs a fifth
less). The smallest delay itself cannot be seen: times come out late by it.
"""

from __future__ import annotations

from collections.abc import Sequence

_BUCKET_S, _BUCKETS = 10.0, 64  # one point each is kept: more than ten minutes, over which a crystal's rate holds
_SLOPE_FROM_S = 60.0  # over less, a delay of milliseconds would look like a drift
_LARGEST_DRIFT = 500e-6  # a crystal's is below 100e-6; an oscillator without one may come near this
_SETTLED_S = 60.0
_AHEAD_S = 0.5  # an arrival so much before the earliest possible means that the clock was set forward
_BEHIND_S = 5.0  # so much after it, for so long and evenly: that the clock was set back, as by starting anew
_NS = 1e9

Point = tuple[float, float]


class ClockEstimator:
    """Maps one wearable's times to the gateway's. Holds at most 128 points, however long it runs.

    The gateway's times must come from a clock that is not set while this runs.
    """

    def __init__(self) -> None:
        self._begun = False
        self._device0_ns = self._arrival0_ns = 0
        self._line = _Envelope()
        self._other: _Envelope | None = None
        self._other_s = 0.0

    @property
    def drift_ppm(self) -> float:
        """By how many millionths the wearable's clock is slower than the gateway's; 0 during the first minute."""
        return self._line.slope * 1e6

    def observe(self, device_ns: int, arrival_ns: int) -> bool:
        """Take what a message says of when it was sent, and when it arrived; return whether the clock has been set.

        If it has, earlier messages say nothing about later ones: begin a new stream.
        """
        if not self._begun:
            self._begun, self._device0_ns, self._arrival0_ns = True, device_ns, arrival_ns
        sent_s = (device_ns - self._device0_ns) / _NS
        point = (sent_s, (arrival_ns - self._arrival0_ns) / _NS - sent_s)
        over_s = self._line.over(point)
        if over_s < -_AHEAD_S:
            was_settled = self._line.span_s >= _SETTLED_S
            self._line, self._other = _Envelope(), None
            self._line.add(point)
            return was_settled  # at first, one late message makes the next look early
        if over_s > _BEHIND_S:
            return self._is_another_line(point)
        self._other = None
        self._line.add(point)
        return False

    def time_ns(self, device_ns: int) -> int:
        """Return the gateway's time at a time of the wearable's, late by the smallest delay."""
        sent_s = (device_ns - self._device0_ns) / _NS
        return device_ns - self._device0_ns + self._arrival0_ns + round(self._line.at(sent_s) * _NS)

    def _is_another_line(self, point: Point) -> bool:
        """Judge what comes far too late: a clock that was set back stays so; what had waited is caught up with."""
        if self._other is None or abs(point[1] - self._other_s) > _AHEAD_S:
            self._other, self._other_s = _Envelope(), point[1]
        self._other.add(point)
        if self._other.span_s < _BEHIND_S:
            return False
        self._line, self._other = self._other, None
        return True


class _Envelope:
    """The line under points (x, y): the earliest of each stretch of ``x`` is kept.

    Attributes:
        slope: Of the line.
        span_s: From the first to the last point.
    """

    def __init__(self) -> None:
        self._points: dict[int, Point] = {}
        self._height = 0.0
        self._first_s = self._last_s = 0.0
        self.slope = 0.0

    @property
    def span_s(self) -> float:
        return self._last_s - self._first_s

    def at(self, x: float) -> float:
        return self._height + self.slope * x

    def over(self, point: Point) -> float:
        """Return by how much a point is above the line; 0 before the first point."""
        return point[1] - self.at(point[0]) if self._points else 0.0

    def add(self, point: Point) -> None:
        if not self._points:
            self._first_s = self._last_s = point[0]
            self._height = point[1]
        self._last_s = max(self._last_s, point[0])
        bucket = int(point[0] // _BUCKET_S)
        kept = self._points.get(bucket)
        if kept is not None and self.over(kept) <= self.over(point):
            return
        is_low = self.over(point) < 0
        self._points[bucket] = point
        if len(self._points) > _BUCKETS:
            del self._points[min(self._points)]
        if kept is None or is_low:
            self._fit()

    def _fit(self) -> None:
        points = [self._points[bucket] for bucket in sorted(self._points)]
        if points[-1][0] - points[0][0] >= _SLOPE_FROM_S:
            self.slope = min(max(_slope_beneath(points), -_LARGEST_DRIFT), _LARGEST_DRIFT)
        self._height = min(y - self.slope * x for x, y in points)


def _slope_beneath(points: Sequence[Point]) -> float:
    """Return the slope of the lower convex hull of points in order of x, across the middle half of them."""
    hull: list[Point] = []
    for point in points:
        while len(hull) > 1 and _turns_down(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    quarter = (hull[-1][0] - hull[0][0]) / 4
    left, right = hull[0][0] + quarter, hull[-1][0] - quarter
    return (_height(hull, right) - _height(hull, left)) / (right - left)


def _height(hull: Sequence[Point], x: float) -> float:
    after = next(place for place in range(1, len(hull)) if x <= hull[place][0])
    (x0, y0), (x1, y1) = hull[after - 1], hull[after]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def _turns_down(a: Point, b: Point, c: Point) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) <= (c[0] - a[0]) * (b[1] - a[1])
