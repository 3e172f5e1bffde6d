from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import msgspec
import numpy as np
import pytest

from device_agents.__main__ import main
from device_agents.config import AgentConfig
from edge_sdk import errors
from edge_sdk.observation import ClockQuality
from tests.checks.sources import CHECKS, SourceUnderTest
from tests.device.gateways import GatewayFolder
from tests.device.records import in_mv, read_stored

SOURCE_SECTION = '[source]\ntype = "replay"\nrecord = "troubled"\nspeed = 0\n'


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest) -> str:
    return (request.config.rootpath / "docs" / "agent.md").read_text()


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    _, _, section = page.partition(f"\n## {heading}\n")
    lines = section.split("\n## ", 1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| `")]


def keys(kind: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key a person may write, with its default as TOML."""
    tag = msgspec.inspect.type_info(kind).tag_field
    if tag:
        yield f"{prefix}{tag}", "required"
    for field in msgspec.structs.fields(kind):
        parts = [t for t in (field.type, *get_args(field.type)) if is_struct(t)]
        if len(parts) == 1 and get_origin(field.type) is not tuple:
            yield from keys(parts[0], f"{field.encode_name}.")
        else:
            yield f"{prefix}{field.encode_name}", written(field)


def is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def written(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    made = field.default_factory is not msgspec.NODEFAULT
    default = field.default_factory() if made else field.default  # type: ignore[operator]  # msgspec's says any
    return "none" if default is None else f"`{msgspec.json.encode(default).decode()}`"


def test_every_key_is_documented_with_its_default(page: str) -> None:
    told = {name.strip("`"): default for name, default, _ in rows(page, "Configuration")}

    assert told == dict(keys(AgentConfig))


def test_every_command_is_documented_with_its_options(page: str) -> None:
    told = {
        command.strip("`"): set(re.findall(r"--[a-z-]+", options)) for command, options, _ in rows(page, "Commands")
    }

    assert told == {
        name: {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
        for name, command in main.commands.items()
        if isinstance(command, click.Command)
    }


def test_every_exit_code_is_documented(page: str) -> None:
    told = {int(code) for code in re.findall(r"^\| (\d) \|", page, re.MULTILINE)}

    assert told == {
        0,
        errors.InvalidInput.exit_code,
        errors.Unavailable.exit_code,
        errors.MissingDependency.exit_code,
    }


@pytest.fixture
def example(page: str) -> dict[str, Any]:
    """The page's own code, run."""
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "docs/agent.md", "exec"), names)  # noqa: S102
    return names


def driver(samples: np.ndarray) -> Callable[[int], np.ndarray]:
    """What a vendor's library might offer: the next samples, none at the end."""
    at = 0

    def read(most: int) -> np.ndarray:
        nonlocal at
        at += most
        return samples[at - most : at]

    return read


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_documented_source_passes_the_checklist(
    check: Callable[[SourceUnderTest], None], example: dict[str, Any], demo_record: Path
) -> None:
    samples = in_mv(read_stored(demo_record, samples=1000)[:, 0])

    check(SourceUnderTest(open=lambda _block_s: example["Firmware"](driver(samples)), expected=samples))


def test_the_documented_source_gives_what_a_recording_of_the_same_gives(
    example: dict[str, Any], gateway: GatewayFolder, troubled_record: Path
) -> None:
    gateway.told("run")
    replayed = gateway.observations()
    gateway.change(SOURCE_SECTION, "")

    samples = in_mv(read_stored(troubled_record, samples=round(60.5 * 360))[:, 0])
    example["run"](gateway.config, driver(samples))

    live = gateway.observations()[len(replayed) :]
    assert [(item.code, item.value) for item in live] == [(item.code, item.value) for item in replayed]
    assert {item.clock for item in live} == {ClockQuality.SYNCHRONIZED}


def test_a_live_source_that_starts_again_is_a_new_stream(example: dict[str, Any], gateway: GatewayFolder) -> None:
    gateway.change(SOURCE_SECTION, "")
    samples = in_mv(read_stored(gateway.folder / "troubled", samples=9 * 360)[:, 0])

    example["run"](gateway.config, driver(samples))
    once = len(gateway.observations())
    example["run"](gateway.config, driver(samples))

    assert len(gateway.observations()) == 2 * once > 0


def test_a_source_that_does_not_fit_the_model_is_refused(example: dict[str, Any], gateway: GatewayFolder) -> None:
    example["Firmware"].format = msgspec.structs.replace(example["Firmware"].format, sample_rate_hz=250.0)
    before = gateway.files()

    with pytest.raises(errors.SignalError, match="ecg in mV at 250 Hz, and the model reads ecg in mV at 360 Hz"):
        example["run"](gateway.config, driver(np.zeros(360, np.float32)))
    assert gateway.files() == before
