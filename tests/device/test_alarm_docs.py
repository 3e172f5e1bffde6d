from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from edge_sdk.alarm_rules import AlarmRule, FastRule, IrregularRule, LostRule, PauseRule, RunRule, SlowRule
from edge_sdk.alarm_standard import STANDARD_RULES
from edge_sdk.settings import load_toml

KINDS: dict[str, type[Any]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AlarmRule)}
COMMON = {field.name for field in msgspec.structs.fields(RunRule)} - {"label", "beats", "end_beats"}


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alarms: tuple[AlarmRule, ...]


@pytest.fixture(scope="module")
def page() -> str:
    return (Path(__file__).parent.parent.parent / "docs" / "alarms.md").read_text()


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    _, _, section = page.partition(f"\n{heading}\n")
    lines = re.split(r"\n#+ ", section)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| `")]


def defaults(kind: type[Any], names: set[str]) -> dict[str, str]:
    return {
        field.name: "required" if field.required else f"`{msgspec.json.encode(field.default).decode()}`"
        for field in msgspec.structs.fields(kind)
        if field.name in names
    }


@pytest.mark.parametrize("tag", KINDS)
def test_every_kind_of_rule_is_documented_with_its_defaults(page: str, tag: str) -> None:
    own = {field.name for field in msgspec.structs.fields(KINDS[tag])} - COMMON

    assert {key.strip("`"): default for key, default, _ in rows(page, f"### {tag}")} == defaults(KINDS[tag], own)


def test_what_every_rule_has_is_documented_with_its_defaults(page: str) -> None:
    assert {key.strip("`"): default for key, default, _ in rows(page, "### Every rule")} == defaults(RunRule, COMMON)


def test_every_standard_rule_is_documented_with_its_limits(page: str) -> None:
    told = {row[0].strip("`"): row[1:] for row in rows(page, "## What is watched unless told otherwise")}

    assert list(told) == [rule.name for rule in STANDARD_RULES]
    for rule in STANDARD_RULES:
        tag, priority, begins, ends, escalates, suppresses = (cell.strip(" |") for cell in told[rule.name])
        assert (tag.strip("`"), priority) == (rule.__struct_config__.tag, rule.priority.value)
        assert (numbers(begins), numbers(ends)) == limits(rule)
        assert escalates == (f"{rule.escalate_after_s:g} s" if rule.escalate_after_s else "never")
        if not isinstance(rule, LostRule):
            assert tuple(re.findall(r"`([^`]+)`", suppresses)) == rule.suppresses


def numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", cell)]


def limits(rule: AlarmRule) -> tuple[list[float], list[float]]:
    if isinstance(rule, PauseRule):
        return [rule.after_s], [rule.end_beats]
    if isinstance(rule, RunRule):
        return [rule.beats], [rule.end_beats]
    if isinstance(rule, LostRule):
        return [rule.after_s], [rule.end_after_s]
    if isinstance(rule, IrregularRule):
        return [rule.begin_share, rule.delay_s], [rule.end_share]
    assert isinstance(rule, (FastRule, SlowRule))
    return [rule.begin_per_minute, rule.delay_s], [rule.end_per_minute]


def test_the_documented_rules_can_be_read(page: str, tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "alarms.toml").write_text(example)

    rules = load_toml(tmp_path / "alarms.toml", Written, what="alarm rules").alarms

    assert [rule.name for rule in rules] == ["desaturation", "bradycardia", "irregular-rhythm"]
