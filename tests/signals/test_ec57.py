from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.ec57 import (
    CLASS_OF_SYMBOL,
    MATRIX_CLASSES,
    Beats,
    Score,
    annotated_beats,
    pool,
    score_record,
    unclassified_beats,
    ventricular_flutter_spans,
)
from edge_sdk.errors import SignalError
from tests.signals.records import wfdb_module

RATE_HZ = 360
WINDOW = 54


def beats(*pairs: tuple[int, str]) -> Beats:
    return Beats(samples=np.array([at for at, _ in pairs], np.int64), classes=np.array([c for _, c in pairs], np.str_))


def score(
    reference: Beats, detected: Beats, *, skip_s: float = 0.0, excluded: tuple[tuple[int, int], ...] = ()
) -> Score:
    return score_record(
        reference=reference, detected=detected, sample_rate_hz=RATE_HZ, skip_s=skip_s, excluded=excluded
    )


def count(result: Score, reference: str, detected: str) -> int:
    return result.confusion[MATRIX_CLASSES.index(reference)][MATRIX_CLASSES.index(detected)]


def found_missed_extra(reference: list[int], detected: list[int], *, skip_s: float = 0.0) -> tuple[int, int, int]:
    result = score(unclassified_beats(reference), unclassified_beats(detected), skip_s=skip_s)
    return result.beats - result.missed, result.missed, result.extra


def test_a_detection_matches_up_to_150_ms_away_on_either_side():
    assert found_missed_extra([1000], [1000 + WINDOW]) == (1, 0, 0)
    assert found_missed_extra([1000], [1000 - WINDOW]) == (1, 0, 0)
    assert found_missed_extra([1000], [1001 + WINDOW]) == (0, 1, 1)
    assert found_missed_extra([1000], [999 - WINDOW]) == (0, 1, 1)


def test_the_nearer_of_two_detections_is_the_match():
    result = score(beats((1000, "N")), beats((960, "V"), (1010, "N")))
    assert count(result, "N", "N") == 1
    assert count(result, "O", "V") == 1


def test_the_nearer_of_two_beats_is_the_match():
    result = score(beats((1000, "N"), (1050, "V")), beats((1040, "V")))
    assert count(result, "V", "V") == 1
    assert count(result, "N", "O") == 1


def test_a_beat_and_its_detection_on_one_sample_match():
    assert found_missed_extra([1000, 1001], [1000, 1001]) == (2, 0, 0)


def test_nothing_found_and_nothing_there_are_counted_without_a_division_by_zero():
    assert found_missed_extra([1000, 2000], []) == (0, 2, 0)
    assert found_missed_extra([], [1000, 2000]) == (0, 0, 2)
    empty = score(unclassified_beats([]), unclassified_beats([]))
    assert math.isnan(empty.sensitivity)
    assert math.isnan(empty.positive_predictivity)


def test_the_learning_period_is_not_scored():
    start = 300 * RATE_HZ
    assert found_missed_extra([1000, start + 500], [2000, start + 500], skip_s=300) == (1, 0, 0)


def test_a_detection_just_before_the_start_still_matches_the_first_beat():
    start = 300 * RATE_HZ
    assert found_missed_extra([start + 10, start + 400], [start - 10, start + 400], skip_s=300) == (2, 0, 0)


def test_a_detection_just_after_the_start_of_a_beat_before_it_is_no_false_alarm():
    start = 300 * RATE_HZ
    assert found_missed_extra([start - 10, start + 400], [start + 10, start + 400], skip_s=300) == (1, 0, 0)


def test_ventricular_flutter_counts_neither_beats_nor_false_alarms():
    samples, symbols = [500, 1000, 1200, 1500, 2000], ["N", "[", "!", "]", "N"]
    spans = ventricular_flutter_spans(samples, symbols)
    assert spans == ((1000, 1500),)
    result = score(annotated_beats(samples, symbols), unclassified_beats([500, 1100, 1300, 2000]), excluded=spans)
    assert (result.beats, result.missed, result.extra) == (2, 0, 0)


def test_flutter_without_an_end_lasts_to_the_end_of_the_record():
    ((start, end),) = ventricular_flutter_spans([100, 700], ["N", "["])
    assert start == 700
    assert end > 10**12


def test_annotations_that_are_no_beats_are_left_out():
    kept = annotated_beats([1, 2, 3, 4, 5, 6], ["+", "N", "~", "|", "A", '"'])
    assert kept.samples.tolist() == [2, 5]
    assert kept.classes.tolist() == ["N", "S"]


@pytest.mark.parametrize(
    ("symbols", "beat_class"), [("NLRej", "N"), ("AaJS", "S"), ("VE", "V"), ("F", "F"), ("/fQ", "Q")]
)
def test_symbols_map_to_the_five_classes(symbols: str, beat_class: str):
    assert {CLASS_OF_SYMBOL[symbol] for symbol in symbols} == {beat_class}


def test_a_ventricular_call_on_a_fusion_or_an_unclassifiable_beat_is_no_false_positive():
    reference = beats(*((1000 * k, c) for k, c in enumerate("VVNSFQ", start=1)))
    called_v = Beats(samples=reference.samples, classes=np.full(6, "V", np.str_))
    assert score(reference, called_v).class_positive_predictivity("V") == pytest.approx(2 / 4)


def test_a_supraventricular_call_on_a_fusion_is_a_false_positive_but_not_on_an_unclassifiable_beat():
    reference = beats(*((1000 * k, c) for k, c in enumerate("SSNVFQ", start=1)))
    called_s = Beats(samples=reference.samples, classes=np.full(6, "S", np.str_))
    assert score(reference, called_s).class_positive_predictivity("S") == pytest.approx(2 / 5)


def test_a_missed_beat_counts_against_its_class_and_an_extra_one_against_what_it_was_called():
    result = score(beats((1000, "V"), (2000, "V")), beats((1000, "V"), (5000, "V")))
    assert result.class_sensitivity("V") == pytest.approx(1 / 2)
    assert result.class_positive_predictivity("V") == pytest.approx(1 / 2)
    assert result.accuracy == 1


def test_the_gross_result_adds_counts_up():
    one = score(beats((1000, "N")), beats((1000, "N")))
    other = score(beats((1000, "N"), (2000, "V")), beats((2000, "N")))
    both = pool([one, other])
    assert both.confusion == tuple(
        tuple(a + b for a, b in zip(x, y, strict=True)) for x, y in zip(one.confusion, other.confusion, strict=True)
    )
    assert both.sensitivity == pytest.approx(2 / 3)


def test_beats_out_of_order_or_of_an_unknown_class_are_refused():
    with pytest.raises(SignalError, match="in order"):
        beats((2000, "N"), (1000, "N"))
    with pytest.raises(SignalError, match="one of N"):
        beats((1000, "X"))


def spaced(gaps: list[int]) -> list[int]:
    return (1000 + np.cumsum(gaps)).tolist() if gaps else []


@settings(deadline=None)
@given(
    st.lists(st.integers(120, 900), max_size=30).map(spaced),
    st.lists(st.integers(120, 900), max_size=30).map(spaced),
)
def test_wfdb_counts_the_same_when_beats_lie_farther_apart_than_two_windows(reference: list[int], detected: list[int]):
    found, missed, extra = found_missed_extra(reference, detected)
    assert found + missed == len(reference)
    assert found + extra == len(detected)
    if reference and detected:
        theirs = wfdb_module().processing.compare_annotations(np.array(reference), np.array(detected), WINDOW + 1)
        assert (found, missed, extra) == (theirs.tp, theirs.fn, theirs.fp)
