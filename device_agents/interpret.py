"""From windows to observations: beat classes, heart rate, strips around abnormal beats, alarms, bad signal.

What comes out depends only on the samples and their times; only its order depends on how they are split into blocks. So
a replay that begins again repeats itself exactly.
"""

from __future__ import annotations

from collections import Counter

from device_agents.alarms import RUN_BEATS, VENTRICULAR_RUN, VentricularRun
from device_agents.heart_rate import HeartRate
from device_agents.inference import Inference
from device_agents.recent import RecentSignal
from device_agents.strips import Strip, Strips
from edge_sdk import codes
from edge_sdk.contracts import OutputContract, Windows
from edge_sdk.observation import (
    Classification,
    ClockQuality,
    ModelRef,
    Observation,
    Priority,
    Quantity,
    SampledData,
    Value,
)
from edge_sdk.quality import Quality, assess
from edge_sdk.signals import SampleBlock, SignalFormat
from edge_sdk.tensors import FloatArray
from edge_sdk.windowing import Window

# A beat's window may come a time-out after the beat; a strip reaches 1.5 s further back.
_KEEP_S = 15.0
_WATCH_S = 5.0
_STRIP_FACTOR = 0.001  # a microvolt, for signals in mV: finer than any wearable's converter
_ECG_LEADS = {"MLII": codes.ECG_LEAD_II, "II": codes.ECG_LEAD_II, "ii": codes.ECG_LEAD_II, "I": codes.ECG_LEAD_I}
_ABSENT_REASONS = {"missing samples": "unknown"}  # FHIR's codes; every other fault is the signal's: "error"


class Interpreter:
    """Turns one stream's windows into observations; what it remembers is bounded.

    Args:
        inference: The model.
        answers: What its output means.
        model: How observations name it.
        signal: The stream's format.
        windows: How the stream is cut.
        clock: How far the stream's times can be trusted.
        stream: Name of the stream.
        subject: Pseudonym of the patient.

    Attributes:
        decisions: Windows classified, by label.
        rejected: Windows without a class, by reason: never shown to the model, or not answered by it.
    """

    def __init__(  # noqa: PLR0913  # what an observation says besides its value
        self,
        inference: Inference,
        *,
        answers: OutputContract,
        model: ModelRef,
        signal: SignalFormat,
        windows: Windows,
        clock: ClockQuality,
        stream: str,
        subject: str,
    ) -> None:
        self._inference, self._answers, self._model = inference, answers, model
        self._signal, self._clock, self._stream, self._subject = signal, clock, stream, subject
        self._rate_hz = signal.sample_rate_hz
        self._recent = RecentSignal(sample_rate_hz=self._rate_hz, keep_s=max(_KEEP_S, windows.duration_s))
        self._heart_rate = HeartRate(sample_rate_hz=self._rate_hz)
        self._strips = Strips(sample_rate_hz=self._rate_hz)
        self._run = VentricularRun()
        self._watch = round(_WATCH_S * self._rate_hz)
        self._watched_to = self._complain_from = 0
        self.decisions: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()

    def push(self, block: SampleBlock) -> None:
        """Take the raw samples of which the next windows are made."""
        self._recent.push(block)

    def observe(self, window: Window) -> list[Observation]:
        """Return what one window tells. A bad one is not shown to the model: it tells that the signal is bad."""
        quality = self._quality(window.start_index, window.end_index)
        if not quality.usable:
            self.rejected[quality.reason] += 1
            self._run.unknown()
            self._heart_rate.gap()
            return self._complaint(window.anchor_index, quality)
        answer = self._inference.decide(window)
        if answer is None:
            found = self._no_answer(window)
        elif self._answers.labels:
            found = self._decision(window, answer, quality.index)
        else:
            found = self._estimates(window, answer, quality.index)
        return found + self._rate(window, quality.index)

    def settle(self, *, at_end: bool = False) -> list[Observation]:
        """Return what the samples so far complete: strips that waited for them, and bad signal without any beat."""
        found = []
        end_index = self._recent.end_index
        while self._watched_to + self._watch <= end_index:
            quality = self._quality(self._watched_to, self._watched_to + self._watch)
            self._watched_to += self._watch
            if not quality.usable:
                found.append(self._bad_signal(self._watched_to - 1, quality))
        return found + [self._shown(strip) for strip in self._strips.due(end_index=end_index, at_end=at_end)]

    def _quality(self, start_index: int, end_index: int) -> Quality:
        return assess(self._recent.cut(start_index, end_index), sample_rate_hz=self._rate_hz)

    def _decision(self, window: Window, chances: FloatArray, quality: float) -> list[Observation]:
        index = window.anchor_index
        label = self._answers.labels[int(chances.argmax())]
        self.decisions[label.name] += 1
        named = zip((label.name for label in self._answers.labels), chances.tolist(), strict=True)
        decision = Classification(label.name, {name: round(chance, 4) for name, chance in named})
        found = [self._observation(self._answers.code, index, decision, quality=quality, by_model=True)]
        if self._run.beat(label.name):
            run = Quantity(RUN_BEATS, "{beats}")
            found.append(
                self._observation(VENTRICULAR_RUN, index, run, quality=quality, by_model=True, priority=Priority.ALARM)
            )
        if label.abnormal:
            self._strips.want(index)
        return found

    def _estimates(self, window: Window, values: FloatArray, quality: float) -> list[Observation]:
        self.decisions["estimate"] += 1
        return [
            self._observation(
                quantity.code or self._answers.code,
                window.anchor_index,
                Quantity(float(value), quantity.unit),
                quality=quality,
                by_model=True,
            )
            for quantity, value in zip(self._answers.quantities, values, strict=True)
        ]

    def _no_answer(self, window: Window) -> list[Observation]:
        """Say that the model failed. FHIR has a word for a result that is NaN."""
        self.rejected["no answer"] += 1
        self._run.unknown()
        own = [quantity.code or self._answers.code for quantity in self._answers.quantities]
        return [
            self._observation(code, window.anchor_index, None, by_model=True, absent_reason="not-a-number")
            for code in own or [self._answers.code]
        ]

    def _rate(self, window: Window, quality: float) -> list[Observation]:
        index = window.anchor_index
        per_minute = self._heart_rate.beat(index=index, rr_s=window.rr_s)
        if per_minute is None:
            return []
        return [self._observation(codes.HEART_RATE, index, Quantity(per_minute, codes.PER_MINUTE), quality=quality)]

    def _complaint(self, index: int, quality: Quality) -> list[Observation]:
        if index < self._complain_from:
            return []
        self._complain_from = index + self._watch
        return [self._bad_signal(index, quality)]

    def _bad_signal(self, index: int, quality: Quality) -> Observation:
        reason = _ABSENT_REASONS.get(quality.reason, "error")
        return self._observation(codes.SIGNAL_QUALITY, index, None, quality=quality.index, absent_reason=reason)

    def _shown(self, strip: Strip) -> Observation:
        samples = SampledData.from_values(
            self._recent.cut(strip.start_index, strip.end_index),
            unit=self._signal.unit,
            sample_rate_hz=self._rate_hz,
            factor=_STRIP_FACTOR,
            anchor_s=(strip.anchor_index - strip.start_index) / self._rate_hz,
        )
        code = _ECG_LEADS.get(self._signal.channels[0], codes.ECG_LEAD)
        return self._observation(code, strip.start_index, samples)

    def _observation(  # noqa: PLR0913  # the fields that differ between observations
        self,
        code: codes.Code,
        index: int,
        value: Value | None,
        *,
        quality: float | None = None,
        by_model: bool = False,
        absent_reason: str = "",
        priority: Priority = Priority.ROUTINE,
    ) -> Observation:
        return Observation(
            code=code,
            value=value,
            effective_time_ns=self._recent.time_ns(index),
            stream=self._stream,
            subject=self._subject,
            absent_reason=absent_reason,
            clock=self._clock,
            quality=quality,
            priority=priority,
            model=self._model if by_model else None,
        )
