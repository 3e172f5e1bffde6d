"""What sources cost and how well clocks are worked out: ``python benchmarks/sources.py``.

CPU time of simulated wards and of messages of wearables, for one core; errors of the clock estimator over sixty runs of
ten minutes with four messages a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import numpy as np

from device_agents.sources.clock import ClockEstimator
from device_agents.sources.mqtt_topic_messages import Samples, Start, decode
from device_agents.sources.mqtt_topic_stream import WearableStream
from device_agents.sources.simulated import Simulation
from device_agents.sources.simulated_ward import SimulatedFeed
from edge_sdk.signals import SignalFormat

ECG = SignalFormat(kind="ecg", unit="mV", channels=("II",), sample_rate_hz=360)
DELAYS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "connection events of 50 ms": lambda random, n: random.uniform(0, 0.05, n) + 0.05 * random.geometric(0.9, n) - 0.05,
    "exponential, 20 ms": lambda random, n: random.exponential(0.02, n),
    "two hops of 4 ms": lambda random, n: random.gamma(2, 0.004, n),
    "two hops of 20 ms": lambda random, n: random.gamma(2, 0.02, n),
}


class Nowhere:
    """A sink that forgets."""

    def open(self, name: str, **about: object) -> None:
        """Do nothing."""

    def push(self, name: str, block: object) -> None:
        """Do nothing."""

    def close(self, name: str, reason: str) -> None:
        """Do nothing."""


def ward(streams: int, *, seconds: float = 20) -> float:
    """Return the share of a core that a simulated ward takes."""
    feed = SimulatedFeed(
        ECG, streams=streams, simulation=Simulation(ectopic_share=0.05), speed=0, duration_s=seconds, block_s=0.25
    )
    began_s = time.process_time()
    feed.run(Nowhere())
    return (time.process_time() - began_s) / seconds


def messages(count: int = 20_000) -> float:
    """Return the microseconds that a message of a quarter of a second takes, from its bytes to the sink."""
    start = Start(session="a", kind="ecg", unit="mV", channels=("II",), sample_rate_hz=360)
    stream = WearableStream("bed-1", start, Nowhere())
    samples = np.zeros(90, "<i2").tobytes()
    told = [msgspec.msgpack.encode(Samples(seq=n, index=90 * n, samples=samples)) for n in range(count)]
    began_s = time.process_time()
    for number, payload in enumerate(told):
        message = decode(payload)
        assert isinstance(message, Samples)  # noqa: S101  # says so to the type checker
        stream.take(message, arrival_ns=number * 250_000_000)
    return (time.process_time() - began_s) / count * 1e6


def clock(delay: str, *, runs: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors of drift (ppm) and of time beyond the smallest delay (ms)."""
    drifts, times = [], []
    for seed in range(runs):
        random, true_s, estimator = np.random.default_rng(seed), np.arange(2400) / 4, ClockEstimator()
        drift = random.uniform(-100, 100) * 1e-6
        device_ns = np.rint(true_s / (1 + drift) * 1e9).astype(int).tolist()
        arrivals_ns = np.rint((true_s + DELAYS[delay](random, len(true_s))) * 1e9).astype(int).tolist()
        for pair in zip(device_ns, arrivals_ns, strict=True):
            estimator.observe(*pair)
        drifts.append(estimator.drift_ppm - drift * 1e6)
        times.append(estimator.time_ns(device_ns[-1]) / 1e6 - true_s[-1] * 1e3)
    return np.abs(drifts), np.abs(times)


def main() -> None:
    """Print it all."""
    for streams in (1, 100, 1000):
        share = ward(streams)
        print(
            f"{streams:5} simulated 360 Hz ECGs: {share:.2%} of a core, {share / streams * 1e6:.0f} µs a stream and s"
        )
    print(f"a wearable's message, decoded, placed and delivered: {messages():.0f} µs")
    for delay in DELAYS:
        drift, late = clock(delay)
        print(
            f"clock, delays of {delay}: drift off by {np.median(drift):.2f} ppm (95 %: {np.percentile(drift, 95):.2f}, "
            f"at most {drift.max():.2f}), time by at most {late.max():.2f} ms"
        )


if __name__ == "__main__":
    main()
