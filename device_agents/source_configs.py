"""What a person configures of a source: one structure for each type. See docs/sources.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from device_agents.sources.csv_rows import TimeUnit
from device_agents.sources.simulated_episodes import Episode

_Rate = Annotated[float, msgspec.Meta(ge=20, le=220)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=0.5)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e7)]
_Ppm = Annotated[float, msgspec.Meta(ge=0, le=1_000)]
_Hertz = Annotated[float, msgspec.Meta(ge=0, le=1e5)]
_Streams = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class ReplayedConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every recording's configuration holds.

    Attributes:
        speed: Seconds of signal per second; 0 for as fast as it goes.
        block_s: Seconds of signal per block, more than 0 and at most 60.
    """

    speed: float = 1.0
    block_s: float = 0.5

    def __post_init__(self) -> None:
        if self.speed < 0 or not 0 < self.block_s <= 60:  # noqa: PLR2004
            raise ValueError("speed must be 0 or more, and block_s more than 0 and at most 60")


class CsvConfig(ReplayedConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="csv"):
    """A CSV file.

    Attributes:
        file: The file.
        unit: UCUM unit of its samples.
        channels: Columns to use; none for those that the model reads. Without names they are ``"1"``, ``"2"``, ….
        time: Column of the time stamps; empty for none.
        time_unit: ``"s"``, ``"ms"``, ``"unix_s"``, ``"unix_ms"`` or ``"iso"``.
        sample_rate_hz: Of the rows; 0 for rows at uneven times.
        delimiter: Between columns.
    """

    file: Path
    unit: str
    channels: tuple[str, ...] = ()
    time: str = ""
    time_unit: TimeUnit = "s"
    sample_rate_hz: _Hertz = 0.0
    delimiter: str = ","

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.time and not self.sample_rate_hz:
            raise ValueError("give time, sample_rate_hz or both: a CSV file does not say when its rows were taken")
        if len(self.delimiter) != 1:
            raise ValueError("delimiter must be one character")


class EdfConfig(ReplayedConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="edf"):
    """An EDF, EDF+, BDF or BDF+ file.

    Attributes:
        file: The file.
        channels: Labels of the signals to use; none for those that the model reads.
        resample: Whether another sample rate than the model's is resampled instead of refused.
    """

    file: Path
    channels: tuple[str, ...] = ()
    resample: bool = False


class SimulatedConfig(
    ReplayedConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="simulated"
):
    """One simulated wearable, for demonstrations.

    Attributes:
        duration_s: How long it lasts.
        seed: The same seed gives the same samples.
        rate_per_min: Usual heart rate.
        ectopic_share: Share of beats that are ventricular and early.
        episodes: What happens besides.
    """

    duration_s: _Seconds = 3600.0
    seed: int = 0
    rate_per_min: _Rate = 70.0
    ectopic_share: _Share = 0.0
    episodes: tuple[Episode, ...] = ()


class SerialConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="serial"
):
    """A wearable on a serial port; it sends the channels that the model reads.

    Attributes:
        port: The device file.
        speed: Bits per second.
        layout: ``"frames"`` or ``"text"``; see docs/wearables.md.
        scale: Of text, the factor from printed numbers to the unit.
        baseline: Of text, the number that stands for 0.
    """

    port: Path
    speed: int = 115_200
    layout: Literal["frames", "text"] = "frames"
    scale: float = 1.0
    baseline: float = 0.0


class SimulatedWardConfig(
    ReplayedConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="simulated-ward"
):
    """Many simulated wearables, for load tests.

    Attributes:
        streams: How many.
        prefix: Of their names, which end in a number from 1.
        duration_s: How long they last; 0 for ever.
        drift_ppm: By how much their clocks run wrong at most.
        seed: The same seed gives the same samples.
        rate_per_min: Usual heart rate.
        ectopic_share: Share of beats that are ventricular and early.
        episodes: What happens besides.
    """

    streams: _Streams
    prefix: str = "bed-"
    duration_s: _Seconds = 0.0
    drift_ppm: _Ppm = 0.0
    seed: int = 0
    rate_per_min: _Rate = 70.0
    ectopic_share: _Share = 0.0
    episodes: tuple[Episode, ...] = ()


class MqttTopicConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="mqtt-topic"
):
    """Wearables that publish themselves.

    Attributes:
        topic: Where; ``{stream}`` stands for the level that names the stream.
        most_streams: Streams that may be announced at a time.
        url: Their broker; empty for the agent's own.
        ca_file: Certificate authority that TLS trusts there; none for the system's.
        username: There; empty for none.
        password_file: File whose first line is the password.
    """

    topic: str
    most_streams: _Streams = 4_096
    url: str = ""
    ca_file: Path | None = None
    username: str = ""
    password_file: Path | None = None

    def __post_init__(self) -> None:
        if not self.url and (self.ca_file or self.username or self.password_file):
            raise ValueError(
                "give url too: without it the agent's own broker is used, and how to log in there is known"
            )


RecordingConfig = CsvConfig | EdfConfig | SimulatedConfig
FeedConfig = MqttTopicConfig | SimulatedWardConfig
