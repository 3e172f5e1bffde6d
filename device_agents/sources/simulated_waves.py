"""What simulated sensors measure: ECG, PPG and acceleration of many streams at once, without faults.

An ECG is a sum of Gaussians around each R wave, with the places and widths of McSharry et al. 2003 (*A dynamical model
for generating synthetic electrocardiogram signals*) at 60 beats a minute; a pulse is two. They look like the real thing
to a program that counts, not to one that diagnoses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from device_agents.sources.simulated_chance import Chance
from device_agents.sources.simulated_episodes import Episode, during
from device_agents.sources.simulated_heart import NONE, NORMAL, SHORTEST_S, VENTRICULAR, WITHOUT_P, Beats, Hearts
from edge_sdk.tensors import FloatArray, IntArray

Float64Array = NDArray[np.float64]
Waves = Callable[[Float64Array], FloatArray]
_Wave = Callable[[FloatArray, Beats, Beats, Float64Array], FloatArray]

_TABLE_HZ, _BEFORE_S, _AFTER_S = 2_000, 0.4, 0.6
# Centre [s from R], width [s], height [mV]: P, Q, R, S, T.
_GAUSSIANS = {
    NORMAL: ((-0.20, 0.025, 0.12), (-0.028, 0.009, -0.12), (0, 0.011, 1.1), (0.03, 0.010, -0.25), (0.27, 0.05, 0.3)),
    VENTRICULAR: ((-0.01, 0.035, 1.4), (0.075, 0.03, -0.5), (0.29, 0.06, -0.4)),
    WITHOUT_P: ((-0.028, 0.009, -0.12), (0, 0.011, 1.1), (0.03, 0.010, -0.25), (0.27, 0.05, 0.3)),
    NONE: (),
}
_PULSE = ((0.22, 0.09, 1.0), (0.52, 0.12, 0.35))  # as shares of the interval between two beats
_PULSE_HEIGHT = np.array([1.0, 0.5, 0.85, 0.0], np.float32)  # by kind of beat
_SHORTEST_QT_SCALE, _LONGEST_QT_SCALE = 0.7, 1.8
_STRIDE = ((0.25, 1, 0.0), (0.10, 2, 1.0), (0.05, 3, 2.0))  # g, harmonic, phase
_SIDEWAYS = np.array([0.3, 0.4, 1.0], np.float32)  # of the stride, along each axis
_PLACES = 1_024


def heart_waves(kind: str, hearts: Hearts) -> Waves:
    """Return what gives an ECG in mV, or a PPG between 0 and about 1, at the next times: (streams, times, 1)."""
    table = _ecg_table() if kind == "ecg" else _pulse_table()
    one = _ecg if kind == "ecg" else _pulse

    def at(times_s: Float64Array) -> FloatArray:
        found = np.empty((len(hearts.after.at_s), len(times_s), 1), np.float32)
        begin = 0
        while begin < len(times_s):  # so few at a time that at most one beat falls among them
            end = max(begin + 1, int(np.searchsorted(times_s, times_s[begin] + SHORTEST_S)))
            hearts.advance(float(times_s[begin]))
            found[:, begin:end, 0] = _around_beats(one, table, hearts, times_s[begin:end])
            begin = end
        return found

    return at


def walking_waves(streams: int, *, seed: int, episodes: Sequence[Episode]) -> Waves:
    """Return what gives acceleration in g at the next times, shape (streams, times, 3): gravity, and steps."""
    phase = Chance(seed, 4).uniform(np.arange(streams), np.zeros(streams, np.int64))[:, np.newaxis]
    turns = 2 * np.pi * np.arange(_PLACES) / _PLACES
    stride = np.sum([g * np.sin(n * turns + turn) for g, n, turn in _STRIDE], axis=0).astype(np.float32)

    def at(times_s: Float64Array) -> FloatArray:
        found = np.zeros((streams, len(times_s), 3), np.float32)
        found[:, :, 2] = 1.0
        for episode in during(episodes, ["walking"], start_s=times_s[0], end_s=times_s[-1] + 1e-9):
            lanes = episode.lanes(streams)
            rows = np.flatnonzero((times_s >= episode.start_s) & (times_s < episode.end_s))
            steps = times_s[rows] * (episode.level / 60) + phase[lanes]
            wave = stride[(steps * _PLACES).astype(np.int64) % _PLACES]
            found[lanes[:, np.newaxis], rows] += wave[:, :, np.newaxis] * _SIDEWAYS
        return found

    return at


def _around_beats(one: _Wave, table: FloatArray, hearts: Hearts, times_s: Float64Array) -> FloatArray:
    """Return a wave of each stream at times that hold at most one of its beats, shape (streams, times)."""
    found = np.empty((len(hearts.after.at_s), len(times_s)), np.float32)
    quiet = hearts.after.at_s > times_s[-1]
    before, after, then = hearts.before, hearts.after, hearts.then
    found[quiet] = one(table, before.some(quiet), after.some(quiet), times_s)
    beating = ~quiet
    later = times_s >= after.at_s[beating, np.newaxis]
    found[beating] = np.where(
        later,
        one(table, after.some(beating), then.some(beating), times_s),
        one(table, before.some(beating), after.some(beating), times_s),
    )
    return found


def _ecg(table: FloatArray, last: Beats, coming: Beats, times_s: Float64Array) -> FloatArray:
    # In whole ticks, so that nothing depends on how times were grouped.
    ticks, last_ticks, next_ticks = (np.floor(at_s * _TABLE_HZ) for at_s in (times_s, last.at_s, coming.at_s))
    # Bazett: the interval from R to T goes with the root of that between beats.
    scale = np.clip(1 / np.sqrt(coming.at_s - last.at_s), _SHORTEST_QT_SCALE, _LONGEST_QT_SCALE)
    since = (ticks - last_ticks[:, np.newaxis]).astype(np.float32) * scale[:, np.newaxis].astype(np.float32)
    until = (ticks - next_ticks[:, np.newaxis]).astype(np.float32)
    found: FloatArray = _looked_up(table, last.kind, since) + _looked_up(table, coming.kind, until)
    return found


def _pulse(table: FloatArray, last: Beats, coming: Beats, times_s: Float64Array) -> FloatArray:
    places = (times_s - last.at_s[:, np.newaxis]) * (_PLACES / (coming.at_s - last.at_s))[:, np.newaxis]
    height = _PULSE_HEIGHT[last.kind][:, np.newaxis]
    found: FloatArray = table[np.clip(places, 0, _PLACES - 1).astype(np.int64)] * height
    return found


def _looked_up(table: FloatArray, kind: IntArray, since: FloatArray) -> FloatArray:
    width = table.shape[1]
    places = np.clip(since + np.float32(_BEFORE_S * _TABLE_HZ), 0, width - 1).astype(np.int32)
    found: FloatArray = table.ravel()[places + (kind * width).astype(np.int32)[:, np.newaxis]]
    return found


def _ecg_table() -> FloatArray:
    at_s = np.arange(-_BEFORE_S, _AFTER_S, 1 / _TABLE_HZ)
    table = np.zeros((len(_GAUSSIANS), len(at_s)), np.float32)
    for kind, waves in _GAUSSIANS.items():
        table[kind] = sum(height * np.exp(-(((at_s - centre) / width) ** 2) / 2) for centre, width, height in waves)
    table[:, [0, -1]] = 0  # what is further away
    return table


def _pulse_table() -> FloatArray:
    at = np.arange(_PLACES) / _PLACES
    pulse = np.sum([height * np.exp(-(((at - centre) / width) ** 2) / 2) for centre, width, height in _PULSE], axis=0)
    rise = np.minimum(at, 1 - at) * 20  # both ends meet at 0
    table: FloatArray = (pulse * np.minimum(rise, 1)).astype(np.float32)
    return table
