from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from edge_sdk import codes, messages, observation, topics
from hospital_hub.config import HubConfig

DOCS = Path(__file__).parent.parent.parent / "docs"
STRUCTS: tuple[type[msgspec.Struct], ...] = (
    messages.Batch,
    messages.Tombstone,
    messages.Ack,
    messages.Status,
    messages.Latest,
    observation.Observation,
    observation.Quantity,
    observation.Classification,
    observation.SampledData,
    observation.ModelRef,
    observation.AlarmState,
    codes.Code,
)


def keys(document: str, heading: str) -> list[str]:
    """Return the first column of the table below a heading."""
    text = (DOCS / document).read_text()
    below = re.split(rf"^#+ {heading}$", text, flags=re.MULTILINE)[1]
    table = re.search(r"(?:^\|.*\n)+", below, flags=re.MULTILINE)
    assert table, f"{document} has no table below '{heading}'"
    cells = [line.split("|")[1] for line in table.group().splitlines()[2:]]
    return [name.split("/")[0] for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_the_wire_format_lists_every_key(struct: type[msgspec.Struct]) -> None:
    assert keys("wire-format.md", struct.__name__) == list(struct.__struct_fields__)


def test_the_wire_format_lists_every_topic() -> None:
    assert set(keys("wire-format.md", "Topics")) == set(topics.LEAVES)


def test_the_hubs_configuration_is_documented_with_its_defaults() -> None:
    assert keys("hub.md", "Configuration") == list(HubConfig.__struct_fields__)
    table = (DOCS / "hub.md").read_text()
    for name, default in msgspec.structs.asdict(HubConfig()).items():
        assert f"| `{name}` | `{default}` |" in table
