"""Scores of detected and classified heartbeats by ANSI/AAMI EC57:2012, as PhysioNet's ``bxb`` program counts them.

Times are sample indices from the start of the record. Classes are the standard's five: N (any beat not below), S
(supraventricular ectopic), V (ventricular ectopic), F (fusion of V and N) and Q (paced or unclassifiable). In a
confusion matrix a sixth class, O, stands for "no beat": its row counts extra detections, its column missed beats.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_sdk.errors import SignalError

BEAT_CLASSES = ("N", "S", "V", "F", "Q")
NO_BEAT = "O"
MATRIX_CLASSES = (*BEAT_CLASSES, NO_BEAT)

MATCH_WINDOW_S = 0.150
"""Farthest that a detection may lie from its beat (EC57:2012, 4.3.2)."""

LEARNING_PERIOD_S = 300.0
"""Start of each record that is not scored (EC57:2012, 4.3.1)."""

CLASS_OF_SYMBOL = {
    symbol: beat_class
    for beat_class, symbols in {"N": "NLRBejn", "S": "AaJS", "V": "VEr", "F": "F", "Q": "/fQ?"}.items()
    for symbol in symbols
}
"""MIT-BIH annotation symbols of beats; every other symbol is no beat."""

# Detections of a class that fall on these beats are neither right nor wrong: the standard's false positives of V
# leave out fusions and unclassifiable beats, those of S only the latter (bxb: VFP = Nv+Sv+Ov, SFP = Ns+Vs+Fs+Os).
_EXEMPT_FROM_FALSE_POSITIVES = {"V": "FQ", "S": "Q"}

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Beats:
    """Heartbeats of one record.

    Attributes:
        samples: int64, shape (n,), strictly increasing sample indices.
        classes: str, shape (n,), each one of `BEAT_CLASSES`.
    """

    samples: NDArray[np.int64]
    classes: NDArray[np.str_]

    def __post_init__(self) -> None:
        if self.samples.shape != self.classes.shape or np.any(np.diff(self.samples) <= 0):
            raise SignalError("beats must have one class each and be in order", remedy="sort them and drop repeats")
        if not np.isin(self.classes, BEAT_CLASSES).all():
            raise SignalError(f"a beat's class must be one of {', '.join(BEAT_CLASSES)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """What one record, or several pooled, come to. A figure without a case to count is NaN.

    Attributes:
        confusion: Counts, ``confusion[reference][detected]``, both in the order of `MATRIX_CLASSES`.
    """

    confusion: tuple[tuple[int, ...], ...]

    @property
    def matrix(self) -> NDArray[np.int64]:
        """The counts as an array of shape (6, 6)."""
        return np.array(self.confusion, np.int64)

    @property
    def beats(self) -> int:
        """How many reference beats were scored."""
        return int(self.matrix[:-1].sum())

    @property
    def missed(self) -> int:
        """Reference beats that no detection matches."""
        return int(self.matrix[:-1, -1].sum())

    @property
    def extra(self) -> int:
        """Detections that match no reference beat."""
        return int(self.matrix[-1, :-1].sum())

    @property
    def sensitivity(self) -> float:
        """Share of the beats that were found, 0 to 1, whatever class they were given."""
        return _ratio(self.beats - self.missed, self.beats)

    @property
    def positive_predictivity(self) -> float:
        """Share of the detections that are beats, 0 to 1."""
        found = self.beats - self.missed
        return _ratio(found, found + self.extra)

    @property
    def accuracy(self) -> float:
        """Share of the found beats that were given their class, 0 to 1."""
        return _ratio(int(np.trace(self.matrix)), self.beats - self.missed)

    def class_sensitivity(self, beat_class: str) -> float:
        """Share of a class's beats that were found and given it, 0 to 1; a missed beat counts against it."""
        row = self.matrix[MATRIX_CLASSES.index(beat_class)]
        return _ratio(int(row[MATRIX_CLASSES.index(beat_class)]), int(row.sum()))

    def class_positive_predictivity(self, beat_class: str) -> float:
        """Share of the detections given a class that are of it, 0 to 1.

        Extra detections count against it. Reference F and Q beats called V, and Q beats called S, do not.
        """
        exempt = _EXEMPT_FROM_FALSE_POSITIVES.get(beat_class, "")
        column = self.matrix[:, MATRIX_CLASSES.index(beat_class)]
        called = sum(int(count) for name, count in zip(MATRIX_CLASSES, column, strict=True) if name not in exempt)
        return _ratio(int(column[MATRIX_CLASSES.index(beat_class)]), called)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def annotated_beats(samples: ArrayLike, symbols: Sequence[str]) -> Beats:
    """Return the beats among MIT-BIH annotations: sample indices and symbols, both of shape (n,)."""
    classes = np.array([CLASS_OF_SYMBOL.get(symbol, NO_BEAT) for symbol in symbols], np.str_)
    beats = classes != NO_BEAT
    return Beats(samples=np.asarray(samples, np.int64)[beats], classes=classes[beats])


def unclassified_beats(samples: ArrayLike) -> Beats:
    """Return a bare detector's R peaks, shape (n,), as beats of class Q."""
    indices = np.asarray(samples, np.int64)
    return Beats(samples=indices, classes=np.full(len(indices), "Q", np.str_))


def ventricular_flutter_spans(samples: ArrayLike, symbols: Sequence[str]) -> tuple[Span, ...]:
    """Return the first and last sample of each stretch between ``[`` and ``]``, where beats cannot be told apart."""
    marks = [(int(at), mark) for at, mark in zip(np.asarray(samples), symbols, strict=True) if mark in ("[", "]")]
    marks.append((np.iinfo(np.int64).max, "]"))
    return tuple((start, end) for (start, mark), (end, _) in pairwise(marks) if mark == "[")


def score_record(
    *,
    reference: Beats,
    detected: Beats,
    sample_rate_hz: float,
    skip_s: float = LEARNING_PERIOD_S,
    excluded: Iterable[Span] = (),
) -> Score:
    """Compare one record beat by beat.

    Args:
        reference: The beats that are there.
        detected: The beats that were found.
        sample_rate_hz: Samples per second that both count in.
        skip_s: Learning period at the start that is not scored.
        excluded: First and last samples of stretches whose reference beats and extra detections do not count.
    """
    spans = tuple(excluded)
    scored = ~_inside(reference.samples, spans)
    true_times, true_classes = reference.samples[scored], reference.classes[scored]
    pairs = _match(
        true_times.tolist(),
        detected.samples.tolist(),
        window=int(MATCH_WINDOW_S * sample_rate_hz),
        start=round(skip_s * sample_rate_hz),
    )
    ignored = _inside(detected.samples, spans)
    matrix = np.zeros((len(MATRIX_CLASSES),) * 2, np.int64)
    for true, found in pairs:
        if true is None and found is not None and ignored[found]:
            continue
        row = NO_BEAT if true is None else true_classes[true]
        column = NO_BEAT if found is None else detected.classes[found]
        matrix[MATRIX_CLASSES.index(row), MATRIX_CLASSES.index(column)] += 1
    return Score(confusion=tuple(map(tuple, matrix.tolist())))


def pool(scores: Iterable[Score]) -> Score:
    """Return the gross result: the counts of all records added up."""
    total = sum((score.matrix for score in scores), np.zeros((len(MATRIX_CLASSES),) * 2, np.int64))
    return Score(confusion=tuple(map(tuple, total.tolist())))


def _inside(samples: NDArray[np.int64], spans: tuple[Span, ...]) -> NDArray[np.bool_]:
    inside = np.zeros(len(samples), np.bool_)
    for first, last in spans:
        inside |= (first <= samples) & (samples <= last)
    return inside


def _match(true: list[int], found: list[int], *, window: int, start: int) -> list[tuple[int | None, int | None]]:
    """Pair indices into two ordered lists of times; None stands for no partner.

    Each beat takes the earlier of two events in time: they pair if they are within the window and the earlier one's
    next neighbour is not the better partner. A detection just before the start may still match the first beat.
    """
    far = 1 << 62
    true_times, found_times = [*true, far, far], [*found, far, far]
    at, have = int(np.searchsorted(true, start)), int(np.searchsorted(found, start))
    have = _first_detection(true_times[at], found_times, have, window=window, start=start)
    pairs: list[tuple[int | None, int | None]] = []
    while at < len(true) or have < len(found):
        beat, detection = true_times[at], found_times[have]
        if detection < beat:
            rival = abs(beat - found_times[have + 1])
            matched = beat - detection <= window and beat - detection < rival
        else:
            rival = abs(detection - true_times[at + 1])
            matched = detection - beat <= window and detection - beat < rival
        takes_beat, takes_detection = matched or beat <= detection, matched or detection < beat
        pairs.append((at if takes_beat else None, have if takes_detection else None))
        at, have = at + takes_beat, have + takes_detection
    return pairs


def _first_detection(first_beat: int, found_times: list[int], have: int, *, window: int, start: int) -> int:
    """Return which detection to begin with, so that beats at the very start of scoring are judged fairly."""
    nearest = abs(first_beat - found_times[have])
    if have and first_beat - found_times[have - 1] <= window and first_beat - found_times[have - 1] < nearest:
        return have - 1
    # Its beat may lie just before the start, where it is not scored.
    if found_times[have] - start <= window and abs(first_beat - found_times[have + 1]) < nearest:
        return have + 1
    return have
