from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, get_args

import msgspec
import numpy as np
import pytest

from device_agents.source_configs import (
    CsvConfig,
    EdfConfig,
    MqttTopicConfig,
    ReplayedConfig,
    SimulatedConfig,
    SimulatedWardConfig,
)
from device_agents.sources.fit import LOWEST_RATE_HZ
from device_agents.sources.mqtt_topic_messages import End, Samples, Start, decode
from device_agents.sources.simulated_episodes import Episode
from edge_sdk.observation import ClockQuality
from tests.checks.sources import CHECKS, SourceUnderTest

SECTIONS = {
    '`type = "csv"`': CsvConfig,
    '`type = "edf"`': EdfConfig,
    '`type = "simulated"`': SimulatedConfig,
    '`type = "mqtt-topic"`': MqttTopicConfig,
    '`type = "simulated-ward"`': SimulatedWardConfig,
}
SHARED = {field.name for field in msgspec.structs.fields(ReplayedConfig)}
RATE_HZ = 360


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest) -> str:
    return (request.config.rootpath / "docs" / "sources.md").read_text()


def table(text: str) -> dict[str, str]:
    """The first two columns of the first table with a default."""
    rows = re.split(r"\n *\| (?:key|field) \| default \| meaning \|\n *\|---\|---\|---\|\n", text, maxsplit=1)[1]
    found = {}
    for line in rows.splitlines():
        if not line.strip().startswith("| `"):
            break
        name, default, _ = (cell.strip() for cell in line.strip().strip("|").split(" | "))
        found[name.strip("`")] = default
    return found


def defaults(kind: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    for field in msgspec.structs.fields(kind):
        if field.required:
            yield field.encode_name, "required"
        elif field.default is None:
            yield field.encode_name, "none"
        else:
            yield field.encode_name, f"`{msgspec.json.encode(field.default).decode()}`"


@pytest.mark.parametrize(("heading", "kind"), SECTIONS.items(), ids=str)
def test_every_key_is_documented_with_its_default(heading: str, kind: type[msgspec.Struct], page: str) -> None:
    told = table(page.split(f"\n### {heading}\n", 1)[1])

    assert told == {name: default for name, default in defaults(kind) if name not in SHARED}


@pytest.mark.parametrize(("heading", "kind"), {"**Start**": Start, "**Samples**": Samples}.items())
def test_every_field_of_a_message_is_documented(heading: str, kind: type[msgspec.Struct], page: str) -> None:
    assert table(page.split(heading, 1)[1]) == dict(defaults(kind))


def test_every_kind_of_episode_is_documented(page: str) -> None:
    section = page.split("\n## Simulation\n", 1)[1].split("\n## ", 1)[0]
    (kinds,) = (field.type for field in msgspec.structs.fields(Episode) if field.name == "kind")

    assert table(section) == dict(defaults(Episode))
    told = set(re.findall(r"`(\w+)`", section.split("| kind | level |", 1)[1]))
    assert told == set(get_args(kinds))


def test_the_rates_that_can_be_resampled_are_documented(page: str) -> None:
    section = page.split("\n## Resampling\n", 1)[1]
    told = re.findall(r"^\| (\w+) \| (\d+) Hz \| (\d+) ms \|", section, re.MULTILINE)

    assert {name.lower(): (float(rate), float(bridged)) for name, rate, bridged in told} == {
        kind: (rate, round(2000 / rate)) for kind, rate in LOWEST_RATE_HZ.items()
    }


def test_the_documented_messages_are_understood(page: str) -> None:
    told = re.findall(r'\{"type":[^}]*\}', page)

    assert [type(decode(json.dumps(json.loads(text)).encode())) for text in told] == [Start, Samples, End]


@pytest.fixture
def example(page: str) -> dict[str, Any]:
    """The page's own source, run."""
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/sources.md", "exec"), names)  # noqa: S102  # our own page
    return names


def driver(packets: list[tuple[int, float, np.ndarray]]) -> Callable[[], Any]:
    return iter([*packets, None]).__next__


def packets_of(samples: np.ndarray) -> list[tuple[int, float, np.ndarray]]:
    """Ninety samples each, with a counter that overflows on the way."""
    return [((65_400 + at) % 2**16, 7 + at / RATE_HZ, samples[at : at + 90]) for at in range(0, len(samples), 90)]


@pytest.mark.parametrize(
    "check",
    # A live source's times are those of arrivals, and its blocks those of the driver.
    [check for check in CHECKS if check.__name__ != "keeps_time_by_its_sample_rate"],
    ids=lambda check: check.__name__,
)
def test_the_documented_source_passes_the_checklist(
    check: Callable[[SourceUnderTest], None], example: dict[str, Any]
) -> None:
    samples = np.random.default_rng(1).normal(size=720).astype(np.float32)
    packets = packets_of(samples)
    expected = samples.copy()
    expected[180:360] = np.nan
    lossy = [packets[0], packets[1], packets[1], *packets[4:]]

    check(SourceUnderTest(open=lambda _block_s: example["Packets"](driver(lossy)), expected=expected))


def test_the_documented_source_tells_the_gateway_s_time(example: dict[str, Any]) -> None:
    source = example["Packets"](driver(packets_of(np.zeros(720, np.float32))))

    blocks = list(source.blocks())

    assert source.clock is ClockQuality.CORRECTED
    for block in blocks:
        assert abs(block.start_time_ns - source.start_time_ns) < 3e9
