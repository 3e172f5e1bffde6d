"""Simulated wearables, for demonstrations and load tests: one call makes a block of a thousand streams.

What a model finds in them says nothing about how well it works.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from device_agents.sources.simulated_chance import Noise
from device_agents.sources.simulated_episodes import DELIVERIES, Episode
from device_agents.sources.simulated_faults import Faults, axes_of
from device_agents.sources.simulated_heart import Hearts
from device_agents.sources.simulated_waves import heart_waves, walking_waves
from edge_sdk.errors import SignalError
from edge_sdk.files import sha256_hex
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import FloatArray

UNITS = {"ecg": "mV", "ppg": "1", "accelerometer": "g"}
_AXES = 3
_NOISE = {"ecg": 0.01, "ppg": 0.003, "accelerometer": 0.01}  # of a good recording, in those units


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """What is simulated.

    Attributes:
        seed: The same seed gives the same samples, whatever the number of streams and the size of blocks.
        rate_per_min: Usual heart rate.
        ectopic_share: Share of beats that are ventricular and early.
        episodes: What happens besides.
    """

    seed: int = 0
    rate_per_min: float = 70.0
    ectopic_share: float = 0.0
    episodes: tuple[Episode, ...] = ()

    def __post_init__(self) -> None:
        if not 20 <= self.rate_per_min <= 220 or not 0 <= self.ectopic_share <= 0.5:  # noqa: PLR2004
            raise SignalError(
                f"no heart is simulated with {self.rate_per_min:g} beats/min and {self.ectopic_share:g} ectopic beats",
                remedy="give 20 to 220 a minute, and a share of at most 0.5",
            )


class SimulatedSignals:
    """The samples of many streams, from the first on.

    Args:
        format: Of every stream: ECG in mV, PPG in 1 or acceleration along three axes in g.
        streams: How many.
        simulation: What is simulated.

    Raises:
        SignalError: A format that is not simulated.
    """

    def __init__(self, format: SignalFormat, *, streams: int, simulation: Simulation) -> None:  # noqa: A002  # the word
        _check(format)
        seed, episodes = simulation.seed, simulation.episodes
        self._rate_hz, self._level = format.sample_rate_hz, np.float32(_NOISE[format.kind])
        self._index = 0
        self._channels = _AXES if format.kind == "accelerometer" else 1
        self._noise = Noise(seed, streams=streams)
        self._faults = Faults(seed=seed, streams=streams, noise=self._noise, episodes=episodes)
        if format.kind == "accelerometer":
            self._waves = walking_waves(streams, seed=seed, episodes=episodes)
        else:
            hearts = Hearts(
                streams,
                seed=seed,
                rate_per_min=simulation.rate_per_min,
                ectopic_share=simulation.ectopic_share,
                episodes=episodes,
            )
            self._waves = heart_waves(format.kind, hearts)

    def block(self, samples: int) -> FloatArray:
        """Return the next samples of every stream, shape (streams, samples, channels)."""
        places = np.arange(self._index, self._index + samples)
        times_s = places / self._rate_hz
        found = self._waves(times_s)
        found += self._level * axes_of(self._noise, slice(None), places, axes=self._channels)
        self._faults.spoil(found, start_index=self._index, times_s=times_s)
        self._index += samples
        return found


class SimulatedRecording:
    """Implements `Replayable`: one simulated stream, as if it had been recorded.

    Args:
        wanted: What the model reads.
        duration_s: How long it lasts.
        simulation: What is simulated.

    Raises:
        SignalError: It cannot be simulated.
    """

    start_time_ns: int | None = None

    def __init__(self, wanted: SignalFormat, *, duration_s: float, simulation: Simulation) -> None:
        _check(wanted)
        if any(episode.kind in DELIVERIES for episode in simulation.episodes):
            raise SignalError("a recording's blocks all come, once and in time", remedy="use a simulated ward")
        channels = wanted.channels if wanted.kind == "accelerometer" else wanted.channels[:1]
        self.format = SignalFormat(
            kind=wanted.kind, unit=wanted.unit, channels=channels, sample_rate_hz=wanted.sample_rate_hz
        )
        self._simulation, self._samples = simulation, round(duration_s * wanted.sample_rate_hz)
        self.identity = sha256_hex(repr((self.format, simulation, self._samples)).encode())[:16]

    def values(self, *, block: int) -> Iterator[FloatArray]:
        """Yield the samples, shape (block, channels) and a shorter last one; NaN where missing."""
        signals = SimulatedSignals(self.format, streams=1, simulation=self._simulation)
        for start in range(0, self._samples, block):
            yield signals.block(min(block, self._samples - start))[0]


def stream_names(prefix: str, streams: int) -> Sequence[str]:
    """Return names of so many streams, in order."""
    digits = len(str(streams))
    return [f"{prefix}{number:0{digits}}" for number in range(1, streams + 1)]


def _check(format: SignalFormat) -> None:  # noqa: A002  # the word
    if format.unit != UNITS[format.kind]:
        raise SignalError(
            f"{format.kind} is simulated in {UNITS[format.kind]}, and the model reads {format.unit}",
            remedy="simulate another model's signal",
        )
    if format.kind == "accelerometer" and len(format.channels) != _AXES:
        raise SignalError(f"three axes are simulated, and the model reads {len(format.channels)}", remedy="replay one")
