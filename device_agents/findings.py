"""What a bank finds: quality, windows and their answers, rates, alarms, strips; a hop of samples at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from device_agents.alarm_bank import AlarmBank
from device_agents.alarm_states import AlarmEvents
from device_agents.alarms import told
from device_agents.inference import Inference
from device_agents.judging import Judged, SignalJudge, Turn
from device_agents.sample_ring import SampleRing
from device_agents.strips import Strip, Strips
from device_agents.telling import Teller
from device_agents.vitals import HeartRateBank
from edge_sdk import codes
from edge_sdk.alarm_rules import AlarmRule, LostRule
from edge_sdk.alarm_standard import rules_in_force
from edge_sdk.beats.bank import BeatBank
from edge_sdk.beats.stand_in import RPeakBank, RPeaks
from edge_sdk.contracts import InputContract, OutputContract, Windows
from edge_sdk.observation import Classification, ModelRef, Quantity, SampledData, Value
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import FloatArray, IntArray
from edge_sdk.windowing import HeartbeatBank, WindowBatch, WindowerBank, windower_bank_for

_COMPLAIN_EVERY_S = 5.0
_AROUND_S = 0.15  # a QRS complex and its neighbourhood
_STRIP_FACTOR = 0.001  # a microvolt, for signals in mV: finer than any wearable's converter
_ECG_LEADS = {"MLII": codes.ECG_LEAD_II, "II": codes.ECG_LEAD_II, "ii": codes.ECG_LEAD_II, "I": codes.ECG_LEAD_I}
_ABSENT_REASONS = {"missing samples": "unknown"}  # FHIR's codes; every other fault is the signal's: "error"


@dataclass(frozen=True, kw_only=True)
class BankModel:
    """A model as a bank uses it.

    Attributes:
        inference: Runs it.
        reads: What it takes.
        answers: What its output means.
        ref: How observations name it.
    """

    inference: Inference
    reads: InputContract
    answers: OutputContract
    ref: ModelRef


class _Part(Protocol):
    def resize(self, lanes: int) -> None: ...

    def reset(self, lanes: IntArray) -> None: ...


@dataclass(frozen=True)
class _Cutter:
    windower: WindowerBank
    models: tuple[tuple[int, BankModel], ...]

    @property
    def beats(self) -> BeatBank | None:
        return self.windower.beats if isinstance(self.windower, HeartbeatBank) else None


class Findings:
    """Finds in the hops of a bank's lanes what there is to tell, and tells it.

    Args:
        format: Of every lane.
        models: Read every lane.
        alarms: Rules that a person configured.
        ring: The raw samples.
        teller: Who is told.

    Attributes:
        windows: Windows cut so far.
        decisions: Windows classified, by label.
        rejected: Windows without an answer, by reason: never shown to a model, or not answered by it.

    Raises:
        ConfigError: An alarm rule does not fit the models.
    """

    def __init__(
        self,
        format: SignalFormat,  # noqa: A002  # the word
        models: Sequence[BankModel],
        *,
        alarms: Sequence[AlarmRule],
        ring: SampleRing,
        teller: Teller,
    ) -> None:
        rate = format.sample_rate_hz
        self._format, self._rate_hz, self._ring, self._teller = format, rate, ring, teller
        self._judge_of = SignalJudge(format, ring=ring)
        self._cutters = [_Cutter(windower_bank_for(of[0][1].reads), tuple(of)) for of in by_windows(models).values()]
        self._peaks = next((cutter.beats for cutter in self._cutters if cutter.beats), None)
        # Alarms on an ECG need its beats, whether a model does or not.
        self._own_peaks = None
        if self._peaks is None and format.kind == "ecg":
            self._own_peaks = RPeakBank(sample_rate_hz=rate)
        self._delay = self._peaks.delay if self._peaks else self._own_peaks.max_delay_samples if self._own_peaks else 0
        self._heart_rate = HeartRateBank(sample_rate_hz=rate)
        self._answers = [model.answers for model in models]
        rules = rules_in_force(self._answers, configured=alarms, kind=format.kind)
        self._alarms = AlarmBank(rules, models=self._answers, sample_rate_hz=rate)
        # A lost signal is known before the last beat is, and is told without waiting for it.
        self._lost = AlarmBank([rule for rule in rules if isinstance(rule, LostRule)], models=(), sample_rate_hz=rate)
        self._strips: dict[int, Strips] = {}
        self._complain_every = round(_COMPLAIN_EVERY_S * rate)
        self._complain_from: IntArray = np.zeros(0, np.int64)
        self.windows = 0
        self.decisions: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""
        for part in self._parts():
            part.resize(lanes)
        more = lanes - len(self._complain_from)
        self._complain_from = np.concatenate([self._complain_from, np.zeros(more, np.int64)])

    def reset(self, lanes: IntArray) -> None:
        """Begin new streams in these lanes."""
        for part in self._parts():
            part.reset(lanes)
        self._complain_from[lanes] = 0
        for lane in lanes.tolist():
            self._strips.pop(lane, None)

    def step(self, lanes: IntArray, samples: FloatArray) -> None:
        """Take the next hop of these lanes: shape (hop, lanes) or (hop, lanes, channels), NaN where missing."""
        self._look(lanes)
        batches = [cutter.windower.step(lanes, samples) for cutter in self._cutters]
        if self._peaks is not None:
            self._hear(self._peaks.peaks)
        elif self._own_peaks is not None:
            self._hear(self._own_peaks.step(lanes, samples))
        for cutter, batch in zip(self._cutters, batches, strict=True):
            self._judge(cutter, batch)
        until = np.maximum(self._ring.taken[lanes] - self._delay, 0)
        self._tell_alarms(self._alarms, self._alarms.settle(lanes, until))
        self._tell_alarms(self._lost, self._lost.settle(lanes, self._ring.taken[lanes]))
        if self._strips:
            self._show(at_end=False)

    def finish(self, lane: int, *, end_index: int) -> None:
        """End a lane's stream of ``end_index`` samples."""
        only = np.array([lane])
        for cutter in self._cutters:
            batch = cutter.windower.finish(only)
            if len(batch):
                self._judge(cutter, batch.where(batch.anchor_index < end_index))
        for bank in (self._alarms, self._lost):
            self._tell_alarms(bank, bank.finish(only))
        if lane in self._strips:
            self._show(at_end=True, lanes=(lane,))

    def _hear(self, peaks: RPeaks) -> None:
        """Tell the alarms of heartbeats."""
        if not len(peaks.lane):
            return
        reach = round(_AROUND_S * self._rate_hz)
        usable = self._judge_of.of(peaks.lane, peaks.r_index - reach, peaks.r_index + reach).index > 0
        self._alarms.beats(peaks.lane, peaks.r_index, usable)

    def _parts(self) -> list[_Part]:
        found: list[_Part] = [self._judge_of, self._heart_rate, self._alarms, self._lost]
        found += [cutter.windower for cutter in self._cutters]
        return [*found, self._own_peaks] if self._own_peaks else found

    def _look(self, lanes: IntArray) -> None:
        """Tell the alarms where the signal is lost and where it is back, and complain while it is."""
        turns = self._judge_of.step(lanes)
        changed = [turn for turn in turns if turn.changed]
        if changed:
            lane = np.array([turn.lane for turn in changed])
            index = np.array([turn.index for turn in changed])
            good = np.array([turn.quality.usable for turn in changed])
            for bank in (self._alarms, self._lost):
                bank.quality(lane, index, good)
        for turn in turns:
            self._complain(turn)

    def _complain(self, turn: Turn) -> None:
        """Say that a signal is bad, at once and then every five seconds."""
        if turn.quality.usable:
            self._complain_from[turn.lane] = 0
        elif turn.index >= self._complain_from[turn.lane]:
            self._complain_from[turn.lane] = turn.index + self._complain_every
            reason = _ABSENT_REASONS.get(turn.quality.reason, "error")
            self._teller.tell(
                codes.SIGNAL_QUALITY, turn.lane, turn.index, None, quality=turn.quality.index, absent_reason=reason
            )

    def _tell_alarms(self, bank: AlarmBank, events: AlarmEvents) -> None:
        if not len(events):
            return
        technical = bank is self._lost
        for found in told(events, bank.rules, models=self._answers, times_ns=self._teller.times_ns):
            if technical or not isinstance(self._rule(bank, found.alarm.rule), LostRule):
                self._teller.tell(
                    found.code,
                    found.lane,
                    found.index,
                    found.value,
                    absent_reason=found.absent_reason,
                    priority=found.priority,
                    alarm=found.alarm,
                )

    @staticmethod
    def _rule(bank: AlarmBank, name: str) -> AlarmRule:
        return next(rule for rule in bank.rules if rule.name == name)

    def _judge(self, cutter: _Cutter, batch: WindowBatch) -> None:
        """Show the good windows to the models; of the bad ones only say why."""
        if not len(batch.lane):
            return
        self.windows += len(batch.lane)
        quality = self._judge_of.of(batch.lane, batch.start_index, batch.end_index)
        usable = quality.index > 0
        if not usable.all():
            self._reject(cutter, batch.where(~usable), quality.where(~usable))
            batch, quality = batch.where(usable), quality.where(usable)
        if not len(batch):
            return
        for place, model in cutter.models:
            self._answer(place, model, batch, quality)
        if cutter.beats is not None:
            self._rate(batch)

    def _answer(self, place: int, model: BankModel, batch: WindowBatch, quality: Judged) -> None:
        parts = {
            wanted.name: batch.waveform if wanted.takes == "waveform" else batch.of(wanted.features)
            for wanted in model.reads.inputs
        }
        meant = model.inference.decide_all(parts)
        answered = ~np.isnan(meant.sum(axis=1))
        if model.answers.labels:
            chosen = np.where(answered, np.nan_to_num(meant).argmax(axis=1), 0)
            self._alarms.labels(batch.lane, batch.anchor_index, chosen, answered, model=place)
        else:
            self._alarms.values(batch.lane, batch.anchor_index, meant, answered, model=place)
        if not answered.all():
            self._no_answer(model, batch.where(~answered))
            batch, quality, meant = batch.where(answered), quality.where(answered), meant[answered]
        if not len(batch):
            return
        if model.answers.labels:
            self._decide(model, batch, quality, meant)
        else:
            self._estimate(model, batch, quality, meant)

    def _decide(self, model: BankModel, batch: WindowBatch, quality: Judged, chances: FloatArray) -> None:
        labels = model.answers.labels
        names = [label.name for label in labels]
        chosen = chances.argmax(axis=1)
        counts = np.bincount(chosen, minlength=len(names)).tolist()
        self.decisions.update({name: count for name, count in zip(names, counts, strict=True) if count})
        rounded = np.round(chances.astype(np.float64), 4).tolist()
        values: list[Value] = [
            Classification(names[index], dict(zip(names, row, strict=True)))
            for index, row in zip(chosen.tolist(), rounded, strict=True)
        ]
        self._teller.tell_all(
            model.answers.code, batch.lane, batch.anchor_index, values, quality=quality.index, model=model.ref
        )
        abnormal = np.array([label.abnormal for label in labels])[chosen]
        for lane, index in zip(batch.lane[abnormal].tolist(), batch.anchor_index[abnormal].tolist(), strict=True):
            if lane not in self._strips:
                self._strips[lane] = Strips(sample_rate_hz=self._rate_hz)
            self._strips[lane].want(index)

    def _estimate(self, model: BankModel, batch: WindowBatch, quality: Judged, meant: FloatArray) -> None:
        self.decisions["estimate"] += len(batch.lane)
        for column, quantity in enumerate(model.answers.quantities):
            values: list[Value] = [Quantity(value, quantity.unit) for value in meant[:, column].tolist()]
            code = quantity.code or model.answers.code
            self._teller.tell_all(code, batch.lane, batch.anchor_index, values, quality=quality.index, model=model.ref)

    def _no_answer(self, model: BankModel, batch: WindowBatch) -> None:
        """Say that the model failed. FHIR has a word for a result that is NaN."""
        self.rejected["no answer"] += len(batch.lane)
        own = [quantity.code or model.answers.code for quantity in model.answers.quantities]
        for lane, index in zip(batch.lane.tolist(), batch.anchor_index.tolist(), strict=True):
            for code in own or [model.answers.code]:
                self._teller.tell(code, lane, index, None, model=model.ref, absent_reason="not-a-number")

    def _reject(self, cutter: _Cutter, batch: WindowBatch, quality: Judged) -> None:
        self.rejected.update(quality.reasons())
        self._heart_rate.gap(np.unique(batch.lane))
        nothing = np.zeros(len(batch), np.bool_)
        for place, model in cutter.models:
            if model.answers.labels:
                self._alarms.labels(batch.lane, batch.anchor_index, nothing.astype(np.int64), nothing, model=place)
            else:
                values = np.full((len(batch), len(model.answers.quantities)), np.nan, np.float32)
                self._alarms.values(batch.lane, batch.anchor_index, values, nothing, model=place)

    def _rate(self, batch: WindowBatch) -> None:
        rates = self._heart_rate.step(batch.lane, batch.anchor_index, batch.rr_s.astype(np.float32))
        for lane, index, rate in zip(rates.lane.tolist(), rates.index.tolist(), rates.per_minute.tolist(), strict=True):
            self._teller.tell(codes.HEART_RATE, lane, index, Quantity(round(rate, 1), codes.PER_MINUTE), quality=1.0)

    def _show(self, *, at_end: bool, lanes: Sequence[int] = ()) -> None:
        """Tell the strips whose last sample has come."""
        for lane in lanes or list(self._strips):
            strips = self._strips[lane]
            for strip in strips.due(end_index=int(self._ring.taken[lane]), at_end=at_end):
                self._tell_strip(lane, strip)

    def _tell_strip(self, lane: int, strip: Strip) -> None:
        samples = SampledData.from_values(
            self._ring.cut(lane, strip.start_index, strip.end_index)[:, 0],
            unit=self._format.unit,
            sample_rate_hz=self._rate_hz,
            factor=_STRIP_FACTOR,
            anchor_s=(strip.anchor_index - strip.start_index) / self._rate_hz,
        )
        channels = self._teller.facts(lane).channels
        self._teller.tell(_ECG_LEADS.get(channels[0], codes.ECG_LEAD), lane, strip.start_index, samples)


def by_windows(models: Sequence[BankModel]) -> dict[Windows, list[tuple[int, BankModel]]]:
    """Return the models, each with its place, by how their streams are cut."""
    found: dict[Windows, list[tuple[int, BankModel]]] = {}
    for place, model in enumerate(models):
        found.setdefault(model.reads.windows, []).append((place, model))
    return found
