from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from device_agents.alarm_bank import AlarmBank
from device_agents.alarm_states import BEGIN, END, AlarmEvents
from edge_sdk.alarm_rules import LostRule
from edge_sdk.alarm_standard import STANDARD_RULES
from edge_sdk.detectors import RPeakDetector
from tests.device.alarm_scripts import BEAT_CLASSES
from tests.signals.records import Record, read_record, wfdb_module

BEATS = "NLRejAaJSVEF/fQ"
HALF_AN_HOUR = 650_000
RULE = {rule.name: place for place, rule in enumerate(STANDARD_RULES)}
ONLY = np.zeros(1, np.int64)


def watched(record: Record, beats: np.ndarray, labels: np.ndarray) -> AlarmEvents:
    bank = AlarmBank(STANDARD_RULES, models=[BEAT_CLASSES], sample_rate_hz=record.sample_rate_hz)
    bank.resize(1)
    lanes, usable = np.zeros(len(beats), np.int64), np.ones(len(beats), np.bool_)
    bank.beats(lanes, beats, usable)
    bank.labels(lanes, beats, labels, usable)
    return bank.settle(ONLY, np.array([len(record.signal)]))


def annotated(record: Record) -> tuple[np.ndarray, str]:
    is_beat = np.isin(record.symbols, list(BEATS))
    letters = "".join("V" if symbol in "VE" else "N" for symbol in np.array(record.symbols)[is_beat])
    return record.annotated[is_beat], letters


def spells(path: Path, rhythm: str) -> list[tuple[int, int]]:
    """From when to when the annotators heard this rhythm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wfdb's use of pandas warns
        notes = wfdb_module().rdann(str(path), "atr")
    changes = [
        (int(at), word.strip("\0"))
        for at, symbol, word in zip(notes.sample, notes.symbol, notes.aux_note, strict=True)
        if symbol == "+"
    ]
    ends = [at for at, _ in changes[1:]] + [HALF_AN_HOUR]
    return [(begin, end) for (begin, word), end in zip(changes, ends, strict=True) if word == rhythm]


def begins(events: AlarmEvents, rule: str) -> list[int]:
    return events.index[(events.rule == RULE[rule]) & (events.state == BEGIN)].tolist()


@pytest.mark.parametrize(
    "name", ["ds1/124", "ds1/203", "ds1/205", "ds1/207", "ds1/208", "ds1/223", "ds2_public/200", "ds2_public/213"]
)
def test_every_run_of_ventricular_beats_is_told_once(shared_data: Path, name: str) -> None:
    record = read_record(shared_data / "ecg_mitdb" / name)
    beats, letters = annotated(record)

    events = watched(record, beats, np.array([letter == "V" for letter in letters], np.int64))

    # While a run pauses for asystole or lasts on, it is the same; after three other beats in a row another may begin.
    third = [match.start() + 2 for match in re.finditer(r"VVV(?:N{0,2}V)*", letters)]
    found = begins(events, "ventricular-run")
    assert set(found) >= set(beats[third])
    assert len(found) - len(third) <= len(begins(events, "asystole"))


@pytest.mark.parametrize("name", ["ds1/205", "ds1/223", "ds2_public/200"])
def test_an_alarm_is_on_in_every_ventricular_tachycardia(shared_data: Path, name: str) -> None:
    record = read_record(shared_data / "ecg_mitdb" / name)
    beats, letters = annotated(record)
    events = watched(record, beats, np.array([letter == "V" for letter in letters], np.int64))

    run = events.rule == RULE["ventricular-run"]
    told = list(
        zip(events.index[run & (events.state == BEGIN)], events.index[run & (events.state == END)], strict=True)
    )
    sustained = [
        (begin, end)
        for begin, end in spells(shared_data / "ecg_mitdb" / name, "(VT")
        if "VVV" in "".join(np.array(list(letters))[(beats >= begin) & (beats < end)])
    ]
    assert sustained
    for begin, end in sustained:
        assert any(on < end and off > begin for on, off in told)


def test_fibrillation_is_an_irregular_rhythm_and_sinus_rhythm_is_not(shared_data: Path) -> None:
    found = {}
    for name in ("101", "112", "115", "122", "203"):
        record = read_record(shared_data / "ecg_mitdb" / "ds1" / name)
        beats, _ = annotated(record)
        events = watched(record, beats, np.zeros(len(beats), np.int64))
        found[name] = begins(events, "irregular-rhythm")

    assert [name for name, told in found.items() if told] == ["203"]
    assert found["203"][0] < 120 * 360


@pytest.mark.parametrize("lead", ["II", "V"])
def test_no_physiologic_alarm_comes_from_what_a_bedside_monitor_took_for_asystole(shared_data: Path, lead: str) -> None:
    record = read_record(shared_data / "icu_alarm" / "a103l", lead)
    detector = RPeakDetector(sample_rate_hz=record.sample_rate_hz)
    beats = np.concatenate([detector.push(record.signal), detector.flush()])

    events = watched(record, beats, np.zeros(len(beats), np.int64))

    physiologic = [rule.name for rule in STANDARD_RULES if not isinstance(rule, LostRule)]
    assert {name: begins(events, name) for name in physiologic} == {name: [] for name in physiologic}
    assert len(beats) > 5 * 60


def test_no_alarm_comes_from_half_an_hour_of_sinus_rhythm(shared_data: Path) -> None:
    record = read_record(shared_data / "ecg_mitdb" / "ds2_public" / "100")
    detector = RPeakDetector(sample_rate_hz=record.sample_rate_hz)
    beats = np.concatenate([detector.push(record.signal), detector.flush()])

    assert len(watched(record, beats, np.zeros(len(beats), np.int64))) == 0
