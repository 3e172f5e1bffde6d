from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from device_agents.alarm_states import BEGIN, END, ESCALATE, AlarmEvents
from device_agents.alarms import told
from edge_sdk.alarm_rules import AlarmPriority, AlarmRule, FastRule, LowRule, PauseRule, RunRule, SlowRule
from edge_sdk.alarm_standard import STANDARD_RULES, rules_in_force
from edge_sdk.codes import LOCAL, Code
from edge_sdk.contracts import Label, OutputContract
from edge_sdk.errors import ConfigError
from edge_sdk.observation import Observation, Priority, Quantity
from edge_sdk.settings import load_toml
from edge_sdk.signals import SignalKind
from tests.device.alarm_scripts import MODELS, SATURATION

DESATURATION = """
[[alarms]]
type = "quantity-below"
name = "desaturation"
display = "Desaturation"
priority = "high"
quantity = "spo2"
begin = 88.0
end = 90.0
"""
WRONG = {
    "a key that no rule has": (DESATURATION.replace("begin", "beginn"), "unknown field `beginn`|missing required"),
    "a priority that IEC 60601-1-8 has not": (DESATURATION.replace("high", "urgent"), "urgent"),
    "a kind that there is not": (DESATURATION.replace("quantity-below", "below"), "Invalid value 'below'"),
    "no room between the limits": (DESATURATION.replace("90.0", "88.0"), "leave no room"),
    "a name with a space": (DESATURATION.replace('"desaturation"', '"low oxygen"'), "regex"),
    "itself suppressed": (DESATURATION + 'suppresses = ["desaturation"]', "suppresses itself"),
}


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alarms: tuple[AlarmRule, ...]


def read(text: str, folder: Path) -> tuple[AlarmRule, ...]:
    (folder / "alarms.toml").write_text(text)
    return load_toml(folder / "alarms.toml", Written, what="alarm rules").alarms


def in_force(
    *configured: AlarmRule,
    bundle: tuple[AlarmRule, ...] = (),
    models: tuple[OutputContract, ...] = MODELS,
    kind: SignalKind = "ecg",
) -> dict[str, AlarmRule]:
    first, *others = models
    models = (msgspec.structs.replace(first, alarms=bundle), *others)
    return {rule.name: rule for rule in rules_in_force(models, configured=configured, kind=kind)}


def test_a_person_writes_a_rule_as_toml(tmp_path: Path) -> None:
    (rule,) = read(DESATURATION, tmp_path)

    assert isinstance(rule, LowRule)
    assert (rule.begin, rule.end, rule.priority) == (88, 90, AlarmPriority.HIGH)


@pytest.mark.parametrize(("text", "says"), WRONG.values(), ids=WRONG)
def test_a_slip_in_a_rule_is_refused(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        read(text, tmp_path)


@pytest.mark.parametrize("rule", STANDARD_RULES, ids=lambda rule: rule.name)
def test_a_rule_survives_a_bundle(rule: AlarmRule) -> None:
    assert msgspec.json.decode(msgspec.json.encode(rule), type=AlarmRule) == rule


@pytest.mark.parametrize(
    ("field", "value"), [("after_s", 1.0), ("after_s", 7.5), ("end_beats", 0), ("escalate_after_s", -1.0)]
)
def test_a_pause_that_no_monitor_may_have_is_refused(field: str, value: float) -> None:
    written = msgspec.to_builtins(PauseRule(name="asystole", after_s=4.0)) | {field: value}

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(written, AlarmRule)


def test_a_rule_takes_the_place_of_the_one_of_its_name() -> None:
    of_bundle = SlowRule(name="bradycardia", begin_per_minute=50, end_per_minute=55)
    of_person = SlowRule(name="bradycardia", begin_per_minute=45, end_per_minute=50)

    assert set(in_force()) == {rule.name for rule in STANDARD_RULES}
    assert in_force(bundle=(of_bundle,))["bradycardia"] == of_bundle
    assert in_force(of_person, bundle=(of_bundle,))["bradycardia"] == of_person


def test_a_rule_can_be_switched_off() -> None:
    off = SlowRule(name="bradycardia", begin_per_minute=50, end_per_minute=55, enabled=False)

    assert "bradycardia" not in in_force(off)


def test_standard_rules_that_do_not_fit_are_left_out() -> None:
    assert "ventricular-run" not in in_force(models=(SATURATION,))
    assert set(in_force(kind="ppg")) == {"signal-lost"}


@pytest.mark.parametrize(
    "rules",
    [
        (RunRule(name="run", label="X"),),
        (LowRule(name="low", quantity="glucose", begin=3.0, end=4.0),),
        (RunRule(name="run", label="V"), RunRule(name="run", label="N")),
        (RunRule(name="run", label="V", suppresses=("bradycardie",)),),
    ],
    ids=["label", "quantity", "name", "suppressed"],
)
def test_a_configured_rule_that_fits_nothing_is_refused(rules: tuple[AlarmRule, ...]) -> None:
    with pytest.raises(ConfigError):
        in_force(*rules)


def test_a_contract_carries_rules_on_its_own_answers_only() -> None:
    labels = (Label(name="N", display="normal"), Label(name="V", display="ventricular"))
    code, run = Code(LOCAL, "beat", "Beat"), RunRule(name="run", label="V")

    contract = OutputContract(name="out", code=code, labels=labels, alarms=(run,))
    assert msgspec.json.decode(msgspec.json.encode(contract), type=OutputContract) == contract
    with pytest.raises(ValueError, match="label 'X'"):
        OutputContract(name="out", code=code, labels=labels, alarms=(RunRule(name="run", label="X"),))
    with pytest.raises(ValueError, match="two alarm rules"):
        OutputContract(name="out", code=code, labels=labels, alarms=(run, run))


def events(*rows: tuple[int, int, float]) -> AlarmEvents:
    rule, state, value = zip(*rows, strict=True)
    lane = np.arange(len(rows))
    return AlarmEvents(
        lane=lane,
        rule=np.array(rule),
        state=np.array(state),
        priority=np.zeros(len(rows), np.int64),
        index=lane + 100,
        since=lane + 50,
        value=np.array(value, np.float32),
    )


def test_an_event_is_told_with_its_alarm_code_and_unit() -> None:
    rules = (
        FastRule(name="fast", begin_per_minute=140, end_per_minute=130, display="Tachycardia"),
        LowRule(name="low", quantity="spo2", begin=88, end=90),
    )

    found = list(
        told(
            events((0, BEGIN, 150.0), (1, ESCALATE, 85.0), (0, END, math.nan)),
            rules,
            models=MODELS,
            times_ns=lambda lanes, indices: (1000 * lanes + indices).tolist(),
        )
    )

    assert [finding.code for finding in found] == [
        Code(LOCAL, "fast", "Tachycardia"),
        Code(LOCAL, "low", "low"),
        Code(LOCAL, "fast", "Tachycardia"),
    ]
    assert [finding.value for finding in found] == [Quantity(150, "/min"), Quantity(85, "%"), None]
    assert [finding.absent_reason for finding in found] == ["", "", "unknown"]
    assert [(finding.alarm.state, finding.alarm.since_ns) for finding in found] == [
        ("begin", 50),
        ("escalate", 1051),
        ("end", 2052),
    ]


def test_to_a_hub_that_knows_no_ends_only_a_beginning_is_an_alarm() -> None:
    class OldObservation(msgspec.Struct):
        code: Code
        priority: Priority = Priority.ROUTINE

    findings = told(
        events((0, BEGIN, 4.0), (0, ESCALATE, 4.0), (0, END, 9.0)),
        (PauseRule(name="asystole", after_s=4.0),),
        models=MODELS,
        times_ns=lambda lanes, _: lanes.tolist(),
    )
    sent = [
        msgspec.json.encode(
            Observation(
                code=finding.code,
                value=finding.value,
                effective_time_ns=0,
                stream="ecg",
                subject="p",
                priority=finding.priority,
                alarm=finding.alarm,
            )
        )
        for finding in findings
    ]

    assert [msgspec.json.decode(data, type=OldObservation).priority for data in sent] == ["alarm", "alarm", "routine"]
