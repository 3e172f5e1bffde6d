"""How many streams of a model this machine serves in real time: the whole signal path, with simulated patients."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from device_agents.findings import BankModel
from device_agents.inference import Inference
from device_agents.model_store import ReadyModel
from device_agents.monitor import Monitor
from device_agents.outbox import Outbox
from device_agents.sources.simulated import SimulatedSignals, Simulation, stream_names
from edge_sdk.observation import ClockQuality
from edge_sdk.signals import SampleBlock
from edge_sdk.windowing import stream_format

_BLOCK_S = 0.25
_WARM_UP_S, _MEASURED_S = 8.0, 4.0  # a detector learns from the first beats, and a beat's class waits for the next
_FIRST, _MOST = 64, 16_384
# What is left over: sources and delivery, and hours in which hearts beat faster.
_SHARE_OF_A_CORE = 0.7
_PLENTY = 1 << 40


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What so many streams cost.

    Attributes:
        streams: How many.
        cores: Share of a core that they need in real time.
        longest_s: The longest time from a block's arrival to its observations in the outbox.
    """

    streams: int
    cores: float
    longest_s: float

    @property
    def in_time(self) -> bool:
        """Whether the machine keeps up, with something to spare."""
        return self.cores <= _SHARE_OF_A_CORE and self.longest_s <= _BLOCK_S


def most_streams(load: Callable[[int], Load], *, first: int = _FIRST, most: int = _MOST) -> list[Load]:
    """Return what numbers of streams cost, doubled until the machine does not keep up, then halfway in between.

    Args:
        load: Measures a number of streams.
        first: With how many to begin.
        most: When to stop.
    """
    found = [load(first)]
    while found[-1].in_time and found[-1].streams < most:
        found.append(load(2 * found[-1].streams))
    if len(found) > 1 and not found[-1].in_time:
        found.insert(-1, load((found[-2].streams + found[-1].streams) // 2))
    return found


def in_time(loads: Sequence[Load]) -> int:
    """Return the largest number of streams that the machine kept up with; 0 if none."""
    return max((load.streams for load in loads if load.in_time), default=0)


def measured(model: ReadyModel, streams: int) -> Load:
    """Run so many simulated streams through a model, as fast as it goes, and return what they cost.

    Raises:
        SignalError: The model reads a signal that is not simulated.
    """
    reads = model.manifest.input
    signal = stream_format(reads)
    inference = Inference(model.runtime, reads=reads, answers=model.manifest.output)
    bank_model = BankModel(inference=inference, reads=reads, answers=model.manifest.output, ref=model.ref)
    monitor, names = Monitor({"model": bank_model}), stream_names("bed-", streams)
    signals = SimulatedSignals(signal, streams=streams, simulation=Simulation())
    for name in names:
        monitor.open(name, format=signal, subject=name, clock=ClockQuality.SYNCHRONIZED)
    block, costs_s, longest_s = round(_BLOCK_S * signal.sample_rate_hz), [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox(Path(folder) / "outbox.db", max_rows=_PLENTY, max_bytes=_PLENTY)
        for number in range(round((_WARM_UP_S + _MEASURED_S) / _BLOCK_S)):
            blocks = _blocks(signals, block, number)
            cost_s, wait_s = _turn(monitor, outbox, dict(zip(names, blocks, strict=True)))
            if number * _BLOCK_S >= _WARM_UP_S:
                costs_s.append(cost_s)
                longest_s = max(longest_s, wait_s)
        outbox.close()
    return Load(streams=streams, cores=sum(costs_s) / _MEASURED_S, longest_s=longest_s)


def _blocks(signals: SimulatedSignals, samples: int, number: int) -> list[SampleBlock]:
    start, time_ns = number * samples, round(number * _BLOCK_S * 1e9)
    return [SampleBlock(start_index=start, start_time_ns=time_ns, samples=lane) for lane in signals.block(samples)]


def _turn(monitor: Monitor, outbox: Outbox, blocks: dict[str, SampleBlock]) -> tuple[float, float]:
    """Return the processor's and the clock's seconds."""
    began_s, cpu_s = time.perf_counter(), time.process_time()
    for name, block in blocks.items():
        monitor.push(name, block)
    outbox.put_many([observation for told in monitor.step().values() for observation in told.observations])
    return time.process_time() - cpu_s, time.perf_counter() - began_s
