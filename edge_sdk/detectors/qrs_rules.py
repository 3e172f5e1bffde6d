"""Which candidates are heartbeats: adaptive thresholds, refractory period, T and P waves, search-back.

Rules of J. Pan & W. Tompkins, "A real-time QRS detection algorithm", IEEE Trans. Biomed. Eng. 32 (1985), with a rule
against noise between two beats of a regular rhythm. Constants without a source were chosen on MIT-BIH DS1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from edge_sdk.detectors.qrs_candidates import Candidate

REFRACTORY_S = 0.250
CLOSEST_R_S = 0.200
T_WAVE_S = 0.360  # Pan & Tompkins
LATE_T_WAVE_S = 0.480
P_WAVE_S = 0.400
WAVE_SHARE = 0.5
"""A T or P wave is less steep than this share of its QRS complex (Pan & Tompkins)."""
LATE_WAVE_SHARE = 0.25

THRESHOLD = 0.35
"""Where between the noise's and the beats' height a beat begins."""
SEARCH_BACK_THRESHOLD = 0.20
SEARCH_BACK_RR = 1.5
SEARCH_BACK_LIMIT_S = 2.0

BEAT_WEIGHT, WEAK_BEAT_WEIGHT, SEARCH_BACK_WEIGHT, NOISE_WEIGHT = 0.125, 0.05, 0.25, 0.1
WEAK_BEAT = 0.6
HEIGHT_CAP = 2.0

RR_KEPT = 8
LONGEST_RR_S = 2.0
FIRST_RR_S = 0.8

DOUBT_RR = 0.75
DOUBT_NOISE = 0.1
DOUBT_TOLERANCE = 0.15
DOUBT_LONGEST_RR_S = 1.2
REGULAR_TOLERANCE = 0.1
REGULAR_SHARE = 0.6
REGULAR_LEAST = 4

LEARNING_S = 2.0
LEAST_HEIGHT_MV = 0.03
"""No beat is lower. Monitors need not count QRS complexes under 0.15 mV (ANSI/AAMI EC13): 0.03 to 0.05 mV here."""
RELEARN_S = 2.5


@dataclass(slots=True)
class _Doubt:
    """An early beat no higher than usual, in a regular rhythm: perhaps noise between two beats."""

    beat: Candidate
    rr: float


@dataclass(slots=True)
class BeatRules:
    """Decides, in the order of time, which candidates are beats.

    Attributes:
        sample_rate_hz: Samples per second that candidates count in.
        delay: Samples from a candidate's time until it is reported, at most, once learned.
    """

    sample_rate_hz: float
    _signal: float = 0.0
    _noise: float = 0.0
    _rr: list[float] = field(default_factory=list)
    _open: list[Candidate] = field(default_factory=list)
    _passed_over: list[Candidate] = field(default_factory=list)
    _doubt: _Doubt | None = None
    _before_open: Candidate | None = None
    _learning: list[Candidate] | None = field(default_factory=list)
    _relearned_at: float = 0.0

    @property
    def delay(self) -> int:
        """Samples that a candidate may wait for its confirmation."""
        return round((max(LEARNING_S, SEARCH_BACK_LIMIT_S) + P_WAVE_S) * self.sample_rate_hz)

    def judge(self, candidates: list[Candidate], settled: int) -> list[Candidate]:
        """Take the next candidates, and the number of samples in which there are no others; return sure beats."""
        if self._learning is not None:
            self._learning += [c for c in candidates if c.height >= LEAST_HEIGHT_MV]
            if not self._learning or settled < self._learning[0].index + LEARNING_S * self.sample_rate_hz:
                return []
            candidates = self._learn(self._learning)
        for candidate in candidates:
            self._search_back(candidate.index)
            self._consider(candidate)
        self._search_back(settled)
        self._relearn(settled)
        return self._confirmed(settled)

    def finish(self) -> list[Candidate]:
        """Return what is left at the end of the stream."""
        if self._learning:
            for candidate in self._learn(self._learning):
                self._consider(candidate)
        return self._open

    def _learn(self, seen: list[Candidate]) -> list[Candidate]:
        heights = sorted((c.height for c in seen), reverse=True)
        self._signal = 0.7 * max(heights[min(1, len(heights) - 1)], 0.4 * heights[0])
        self._rr = [FIRST_RR_S * self.sample_rate_hz]
        self._learning = None
        return seen

    @property
    def _last(self) -> Candidate | None:
        return self._open[-1] if self._open else self._before_open

    def _since_last(self, index: float) -> float:
        return index - self._last.index if self._last else float("inf")

    def _consider(self, c: Candidate) -> None:
        last = self._last
        if self._too_close(c):
            if last and c.height > last.height and self._open:
                self._open[-1] = c
            return
        is_wave = self._is_t_wave(c)
        threshold = max(self._noise + THRESHOLD * (self._signal - self._noise), LEAST_HEIGHT_MV)
        if c.height > threshold and not is_wave:
            self._drop_impostors(c)
            self._start_doubt(c)
            self._accept(c, BEAT_WEIGHT)
            self._passed_over = []
        else:
            self._noise += NOISE_WEIGHT * (min(c.height, self._signal) - self._noise)
            if not is_wave:
                self._passed_over.append(c)

    def _too_close(self, c: Candidate) -> bool:
        apart = c.r_index - self._last.r_index if self._last else c.r_index
        rate = self.sample_rate_hz
        return self._last is not None and (
            self._since_last(c.index) < REFRACTORY_S * rate or apart < CLOSEST_R_S * rate
        )

    def _is_t_wave(self, c: Candidate) -> bool:
        since_s = self._since_last(c.index) / self.sample_rate_hz
        if self._last is None or since_s >= LATE_T_WAVE_S:
            return False
        share = WAVE_SHARE if since_s < T_WAVE_S else LATE_WAVE_SHARE
        return c.slope < share * self._last.slope

    def _accept(self, c: Candidate, weight: float) -> None:
        since = self._since_last(c.index)
        if since < LONGEST_RR_S * self.sample_rate_hz:
            self._rr = [*self._rr, since][-RR_KEPT:]
        if c.height < WEAK_BEAT * self._signal:
            weight *= WEAK_BEAT_WEIGHT / BEAT_WEIGHT
        self._signal += weight * (min(c.height, HEIGHT_CAP * self._signal) - self._signal)
        self._open.append(c)

    def _drop_impostors(self, c: Candidate) -> None:
        """Take back the last beat when this one shows that it was noise or a P wave."""
        doubt, self._doubt = self._doubt, None
        if not self._open or self._before_last is None:
            return
        last = self._open[-1]
        full = c.index - self._before_last.index
        if (
            doubt
            and doubt.beat is last
            and abs(full - doubt.rr) < DOUBT_TOLERANCE * doubt.rr
            and last.height < c.height
        ):
            self._take_back()
            self._noise += NOISE_WEIGHT * (min(last.height, self._signal) - self._noise)
        elif c.index - last.index < P_WAVE_S * self.sample_rate_hz and (
            last.height < WAVE_SHARE * c.height and last.slope < WAVE_SHARE * c.slope
        ):
            self._take_back()

    @property
    def _before_last(self) -> Candidate | None:
        return self._open[-2] if len(self._open) > 1 else self._before_open

    def _take_back(self) -> None:
        self._open.pop()
        self._rr = self._rr[:-1] or self._rr

    def _start_doubt(self, c: Candidate) -> None:
        usual = median(self._rr)
        close = sum(abs(rr - usual) < REGULAR_TOLERANCE * usual for rr in self._rr)
        regular = len(self._rr) >= REGULAR_LEAST and close >= REGULAR_SHARE * len(self._rr)
        early = self._since_last(c.index) < DOUBT_RR * usual and usual < DOUBT_LONGEST_RR_S * self.sample_rate_hz
        if regular and early and c.height < self._signal and self._noise > DOUBT_NOISE * self._signal:
            self._doubt = _Doubt(c, usual)

    def _search_back(self, now: float) -> None:
        """When a beat is overdue, take the best of what was passed over."""
        wait = min(SEARCH_BACK_RR * median(self._rr), SEARCH_BACK_LIMIT_S * self.sample_rate_hz)
        while self._passed_over and self._since_last(now) > wait:
            best = max(self._passed_over, key=lambda c: c.height)
            if self._too_close(best):
                self._passed_over.remove(best)
                continue
            if best.height <= max(SEARCH_BACK_THRESHOLD * self._signal, LEAST_HEIGHT_MV):
                return
            self._accept(best, SEARCH_BACK_WEIGHT)
            clear = best.index + REFRACTORY_S * self.sample_rate_hz
            self._passed_over = [c for c in self._passed_over if c.index > clear]

    def _relearn(self, now: int) -> None:
        """Expect lower beats when there have been none for long: an electrode may have moved."""
        since = min(self._since_last(now), now - self._relearned_at)
        if since > RELEARN_S * self.sample_rate_hz:
            self._signal, self._noise = self._signal / 2, self._noise / 2
            self._relearned_at = now
            horizon = now - SEARCH_BACK_LIMIT_S * self.sample_rate_hz
            self._passed_over = [c for c in self._passed_over if c.index > horizon]

    def _confirmed(self, settled: int) -> list[Candidate]:
        """Hand over the beats that nothing can take back any more."""
        sure = settled - P_WAVE_S * self.sample_rate_hz
        if self._doubt and self._open and self._doubt.beat is self._open[-1] and self._before_last:
            limit = self._before_last.index + (1 + DOUBT_TOLERANCE) * self._doubt.rr
            sure = min(sure, self._doubt.beat.index - 1) if settled <= limit else sure
        done = [c for c in self._open if c.index < sure]
        if done:
            self._before_open = done[-1]
            self._open = self._open[len(done) :]
        return done
