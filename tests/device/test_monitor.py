from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from device_agents.findings import BankModel
from device_agents.inference import Inference
from device_agents.monitor import Monitor
from device_agents.strips import AFTER_S, BEFORE_S
from edge_sdk import codes
from edge_sdk.codes import Code
from edge_sdk.contracts import FixedWindows, InputContract, ModelInput, OutputContract, OutputQuantity
from edge_sdk.errors import SignalError
from edge_sdk.observation import Classification, ClockQuality, Observation, Priority, Quantity, SampledData
from edge_sdk.signals import SampleBlock, SignalFormat
from edge_sdk.tensors import FloatArray
from tests.device.bundles import ANSWERS, LABELS, READS
from tests.device.records import in_mv, read_stored
from tests.fakes.device import MODEL
from tests.fakes.runtime import ToldAnswers

RATE_HZ = 360
START_NS = 10**18
RUN_BEATS = 3
VENTRICULAR_RUN = Code(codes.LOCAL, "ventricular-run", "Run of ventricular beats")
SIGNAL_LOST = Code(codes.LOCAL, "signal-lost", "Signal lost")
SIGNAL = SignalFormat(kind="ecg", unit="mV", channels=("MLII",), sample_rate_hz=RATE_HZ)
LOOKS_EVERY_S = 5
LOST_WITHIN_S = 5
NAMES = [label.name for label in LABELS]
BREATHS = Code(codes.LOCAL, "breathing-estimate", "Breathing rate, estimated")
OXYGEN = Code(codes.LOCAL, "oxygen-estimate", "Oxygen uptake, estimated")
ESTIMATES = OutputContract(
    name="answer",
    code=BREATHS,
    quantities=(
        OutputQuantity(name="breaths", display="Breathing rate", unit="/min", factor=10.0, offset=5.0),
        OutputQuantity(name="oxygen", display="Oxygen uptake", unit="mL/min", code=OXYGEN),
    ),
)
TEN_SECONDS = InputContract(
    signal=READS.signal,
    windows=FixedWindows(length_s=10, hop_s=10),
    inputs=(ModelInput(name="waveform", takes="waveform", shape=(10 * RATE_HZ, 1)),),
)


def sure_of(name: str) -> list[float]:
    return [9.0 if label == name else 0.0 for label in NAMES]


def model(*answers: list[float], reads: InputContract = READS, means: OutputContract = ANSWERS) -> BankModel:
    inference = Inference(ToldAnswers(*answers), reads=reads, answers=means)
    return BankModel(inference=inference, reads=reads, answers=means, ref=MODEL)


def monitor(*answers: list[float], reads: InputContract = READS, means: OutputContract = ANSWERS) -> Monitor:
    return Monitor({"told": model(*answers, reads=reads, means=means)})


def blocks(signal: FloatArray, *, size: int) -> Iterator[SampleBlock]:
    for start in range(0, len(signal), size):
        time_ns = START_NS + round(start * 1e9 / RATE_HZ)
        yield SampleBlock(start_index=start, start_time_ns=time_ns, samples=signal[start : start + size, None])


def findings(made: Monitor, signal: FloatArray, *, block: int = 180) -> list[Observation]:
    made.open("ecg", format=SIGNAL, subject="patient-1", clock=ClockQuality.REPLAYED)
    found: list[Observation] = []
    for piece in blocks(signal, size=block):
        made.push("ecg", piece)
        found += made.step()["ecg"].observations
    made.close("ecg")
    return found + made.step()["ecg"].observations


def of(found: Iterable[Observation], code: codes.Code) -> list[Observation]:
    return [observation for observation in found if observation.code == code]


def second(observation: Observation) -> float:
    return (observation.effective_time_ns - START_NS) / 1e9


@pytest.fixture(scope="module")
def minute(demo_record: Path) -> FloatArray:
    return in_mv(read_stored(demo_record, samples=60 * RATE_HZ)[:, 0])


def test_every_beat_gets_the_class_the_model_is_surest_of(minute: FloatArray) -> None:
    made = monitor(sure_of("S"))

    beats = of(findings(made, minute), codes.BEAT_CLASS)

    assert {beat.value.label for beat in beats if isinstance(beat.value, Classification)} == {"S"}
    assert made.decisions["S"] == len(beats) > 30
    for beat in beats:
        assert isinstance(beat.value, Classification)
        assert sum(beat.value.probabilities.values()) == pytest.approx(1, abs=1e-3)
        assert beat.model == MODEL


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_an_answer_that_is_no_number_is_an_absent_value_and_never_a_class(number: float, minute: FloatArray) -> None:
    made = monitor([number, *sure_of("V")[1:]])

    found = findings(made, minute)

    beats = of(found, codes.BEAT_CLASS)
    assert len(beats) == made.rejected["no answer"] > 30
    assert {(beat.value, beat.absent_reason) for beat in beats} == {(None, "not-a-number")}
    assert not made.decisions
    assert not of(found, VENTRICULAR_RUN)
    assert of(found, codes.HEART_RATE)  # the beats themselves were found


def test_an_answer_that_is_no_number_breaks_a_run(minute: FloatArray) -> None:
    broken = [sure_of("V")] * (RUN_BEATS - 1) + [[math.nan] * len(NAMES)]

    found = findings(monitor(*broken, *broken, sure_of("N")), minute)

    assert not of(found, VENTRICULAR_RUN)


def test_a_run_of_ventricular_beats_is_one_alarm_at_its_third_beat(minute: FloatArray) -> None:
    found = findings(monitor(sure_of("N"), *[sure_of("V")] * 6, sure_of("N")), minute)

    alarm, end = of(found, VENTRICULAR_RUN)
    beats = of(found, codes.BEAT_CLASS)
    assert alarm.alarm
    assert end.alarm
    assert (alarm.alarm.state, end.alarm.state) == ("begin", "end")
    assert alarm.priority is Priority.ALARM
    assert alarm.effective_time_ns == beats[RUN_BEATS].effective_time_ns
    assert alarm.value == Quantity(RUN_BEATS, "{beats}")
    assert all(item.priority is Priority.ROUTINE for item in found if item is not alarm)


def test_strips_show_the_raw_signal_around_abnormal_beats_and_no_sample_twice(minute: FloatArray) -> None:
    found = findings(monitor(sure_of("N"), sure_of("V"), sure_of("V"), *[sure_of("N")] * 20, sure_of("F")), minute)

    abnormal = [
        second(beat)
        for beat in of(found, codes.BEAT_CLASS)
        if isinstance(beat.value, Classification) and beat.value.label != "N"
    ]
    shown: list[int] = []
    for strip in of(found, codes.ECG_LEAD_II):
        assert isinstance(strip.value, SampledData)
        start, values = round(second(strip) * RATE_HZ), strip.value.values()
        np.testing.assert_allclose(values, minute[start : start + len(values)], atol=strip.value.factor)
        assert len(values) <= round((BEFORE_S + AFTER_S) * RATE_HZ)
        anchor_s = second(strip) + strip.value.anchor_s
        assert min(abs(beat_s - anchor_s) for beat_s in abnormal) < 1 / RATE_HZ
        shown += range(start, start + len(values))
    assert len(set(shown)) == len(shown)
    assert {round(beat_s * RATE_HZ) for beat_s in abnormal} <= set(shown)


def test_nothing_abnormal_shows_no_strip(minute: FloatArray) -> None:
    assert not of(findings(monitor(sure_of("N")), minute), codes.ECG_LEAD_II)


@pytest.mark.parametrize(("fault", "reason"), [(math.nan, "unknown"), (0.3, "error")], ids=["missing", "flat"])
def test_a_bad_stretch_is_told_as_such_and_gets_no_class(fault: float, reason: str, minute: FloatArray) -> None:
    spoiled = minute.copy()
    spoiled[20 * RATE_HZ : 32 * RATE_HZ] = fault

    found = findings(monitor(sure_of("V")), spoiled)

    told = of(found, codes.SIGNAL_QUALITY)
    assert {(item.value, item.absent_reason, item.quality) for item in told} == {(None, reason, 0.0)}
    assert all(20 <= second(item) < 32 + LOOKS_EVERY_S for item in told)
    assert any(25 <= second(item) <= 32 for item in told)
    assert not [beat for beat in of(found, codes.BEAT_CLASS) if 20 <= second(beat) < 32]
    assert of(found, codes.BEAT_CLASS)


def test_a_signal_that_is_flat_from_the_start_is_told_without_any_beat() -> None:
    found = findings(monitor(sure_of("V")), np.zeros(30 * RATE_HZ, np.float32))

    lost, over = of(found, SIGNAL_LOST)
    assert lost.priority is Priority.ALARM
    assert second(lost) <= LOST_WITHIN_S
    assert over.effective_time_ns > lost.effective_time_ns
    assert len(of(found, codes.SIGNAL_QUALITY)) == len(found) - 2 > 1


def test_a_bad_start_spoils_the_longest_of_windows(minute: FloatArray) -> None:
    seen = ModelInput(name="waveform", takes="waveform", shape=(30 * RATE_HZ, 1))
    reads = InputContract(signal=READS.signal, windows=FixedWindows(length_s=30, hop_s=10), inputs=(seen,))
    spoiled = minute.copy()
    spoiled[11 * RATE_HZ] = math.nan  # in the windows that begin at 0 and 10 s

    found = findings(monitor(sure_of("N"), reads=reads), spoiled)

    assert [round(second(item), 2) for item in of(found, codes.BEAT_CLASS)] == [50, 60]


def test_every_window_gives_each_quantity_in_its_unit_under_its_code(minute: FloatArray) -> None:
    made = monitor([1.0, 250.0], [1.5, 300.0], reads=TEN_SECONDS, means=ESTIMATES)

    found = findings(made, minute)

    assert [item.value for item in of(found, BREATHS)] == [Quantity(15.0, "/min")] + [Quantity(20.0, "/min")] * 5
    assert [item.value for item in of(found, OXYGEN)][:2] == [Quantity(250.0, "mL/min"), Quantity(300.0, "mL/min")]
    assert {item.model for item in of(found, BREATHS) + of(found, OXYGEN)} == {MODEL}
    assert [round(second(item)) for item in of(found, OXYGEN)] == [10, 20, 30, 40, 50, 60]
    assert made.decisions["estimate"] == len(of(found, OXYGEN))


@pytest.mark.parametrize("number", [math.nan, 3e38], ids=["nan", "beyond float32 in its unit"])
def test_a_quantity_that_is_no_number_is_an_absent_value_under_every_code(number: float, minute: FloatArray) -> None:
    made = monitor([number, 250.0], reads=TEN_SECONDS, means=ESTIMATES)

    found = findings(made, minute)

    for code in (BREATHS, OXYGEN):
        assert {(item.value, item.absent_reason) for item in of(found, code)} == {(None, "not-a-number")}
    assert made.rejected["no answer"] == len(of(found, OXYGEN)) == 6
    assert not made.decisions


def test_a_bad_window_is_not_estimated(minute: FloatArray) -> None:
    spoiled = minute.copy()
    spoiled[20 * RATE_HZ : 30 * RATE_HZ] = 0.3

    found = findings(monitor([1.0, 250.0], reads=TEN_SECONDS, means=ESTIMATES), spoiled)

    assert [round(second(item)) for item in of(found, BREATHS)] == [10, 20, 40, 50, 60]
    assert of(found, codes.SIGNAL_QUALITY)


@pytest.mark.parametrize("block", [1, 7, 360, 21_600])
def test_the_findings_do_not_depend_on_the_blocks(block: int, minute: FloatArray) -> None:
    spoiled = minute[: 40 * RATE_HZ].copy()
    spoiled[10 * RATE_HZ : 14 * RATE_HZ], spoiled[20 * RATE_HZ : 29 * RATE_HZ] = np.nan, 0.3

    answers = [sure_of("V")] * 5 + [sure_of("N")]
    by_half_seconds = findings(monitor(*answers), spoiled)
    by_other_blocks = findings(monitor(*answers), spoiled, block=block)

    assert in_order(by_other_blocks) == in_order(by_half_seconds)


def in_order(found: list[Observation]) -> list[Observation]:
    return sorted(found, key=lambda item: (item.effective_time_ns, item.code.code, item.absent_reason))


def test_a_gap_is_missing_samples_and_what_comes_twice_is_left_out(minute: FloatArray) -> None:
    gap = slice(20 * RATE_HZ, 24 * RATE_HZ)
    lacking = minute.copy()
    lacking[gap] = np.nan
    made = monitor(sure_of("V"))
    made.open("ecg", format=SIGNAL, subject="patient-1", clock=ClockQuality.REPLAYED)
    found: list[Observation] = []
    for piece in blocks(minute, size=180):
        if not gap.start <= piece.start_index < gap.stop:
            made.push("ecg", piece)
            made.push("ecg", piece)
            found += made.step()["ecg"].observations
    made.close("ecg")
    found += made.step()["ecg"].observations

    assert found == findings(monitor(sure_of("V")), lacking)
    assert made.missing_samples == gap.stop - gap.start


def test_streams_side_by_side_tell_what_each_tells_alone(minute: FloatArray) -> None:
    signals = {f"bed-{number}": np.roll(minute, number * 1000) for number in range(5)}
    made, found = monitor(sure_of("V")), {name: list[Observation]() for name in signals}
    for name in signals:
        made.open(name, format=SIGNAL, subject="patient-1", clock=ClockQuality.REPLAYED)
    for pieces in zip(*(blocks(signal, size=100) for signal in signals.values()), strict=True):
        for name, piece in zip(signals, pieces, strict=True):
            made.push(name, piece)
        for name, told in made.step().items():
            found[name] += told.observations
    for name in signals:
        made.close(name)
    for name, told in made.step().items():
        found[name] += told.observations

    for name, signal in signals.items():
        alone = findings(monitor(sure_of("V")), signal)
        assert [msgspec.structs.replace(item, stream="ecg") for item in found[name]] == alone


def test_a_stream_may_begin_again_in_the_place_of_another(minute: FloatArray) -> None:
    made = monitor(sure_of("V"))

    assert findings(made, minute) == findings(made, minute)


def test_several_models_answer_for_the_same_stream(minute: FloatArray) -> None:
    models = {
        "beats": model(sure_of("V")),
        "breaths": model([1.0, 250.0], reads=TEN_SECONDS, means=ESTIMATES),
    }

    found = findings(Monitor(models), minute)

    assert of(found, codes.BEAT_CLASS)
    assert len(of(found, OXYGEN)) == 6


@pytest.mark.parametrize("counts_the_silence", [True, False])
def test_a_stream_that_was_silent_goes_on_where_its_clock_says(counts_the_silence: bool, minute: FloatArray) -> None:  # noqa: FBT001
    made, pause = monitor(sure_of("V")), 6 * RATE_HZ
    made.open("ecg", format=SIGNAL, clock=ClockQuality.SYNCHRONIZED)
    found: list[Observation] = []
    for piece in blocks(minute, size=180):
        late = piece.start_index >= 30 * RATE_HZ
        shift = pause if late and counts_the_silence else 0
        pause_ns = round(pause * 1e9 / RATE_HZ) if late else 0
        if piece.start_index == 30 * RATE_HZ:
            made.silence("ecg", pause / RATE_HZ)
        made.push(
            "ecg",
            SampleBlock(
                start_index=piece.start_index + shift,
                start_time_ns=piece.start_time_ns + pause_ns,
                samples=piece.samples,
            ),
        )
        found += made.step()["ecg"].observations

    beats = [second(beat) for beat in of(found, codes.BEAT_CLASS)]
    (lost, back) = [item.alarm.state for item in of(found, SIGNAL_LOST) if item.alarm]
    assert (lost, back) == ("begin", "end")
    assert not [beat for beat in beats if 31 < beat < 36]
    assert len([beat for beat in beats if beat > 36]) > 25


def test_what_comes_after_all_is_left_out_where_a_silence_was_told(minute: FloatArray) -> None:
    made = monitor(sure_of("V"))
    made.open("ecg", format=SIGNAL, clock=ClockQuality.SYNCHRONIZED)
    for piece in blocks(minute, size=180):
        if piece.start_index == 30 * RATE_HZ:
            made.silence("ecg", 6.0)
        made.push("ecg", piece)
    found = made.step()["ecg"].observations

    beats = [second(beat) for beat in of(found, codes.BEAT_CLASS)]
    assert not [beat for beat in beats if 31 < beat < 36]
    assert len([beat for beat in beats if beat > 36]) > 18


def test_a_stream_that_nobody_opened_is_refused(minute: FloatArray) -> None:
    with pytest.raises(SignalError, match="no stream 'ecg' is open"):
        monitor(sure_of("V")).push("ecg", next(blocks(minute, size=10)))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"sample_rate_hz": 250.0}, "ecg in mV at 250 Hz, and the model reads ecg in mV at 360 Hz"),
        ({"unit": "uV"}, "uV"),
    ],
)
def test_a_stream_that_no_model_reads_is_refused(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(SignalError, match=match):
        monitor(sure_of("V")).open("ecg", format=msgspec.structs.replace(SIGNAL, **wrong))
