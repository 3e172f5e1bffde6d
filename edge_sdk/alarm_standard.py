"""What a gateway watches in every ECG unless told otherwise, and how it is told otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from edge_sdk.alarm_rules import (
    AlarmPriority,
    AlarmRule,
    FastRule,
    IrregularRule,
    LostRule,
    PauseRule,
    RunRule,
    SlowRule,
    misfit,
    repeated_name,
)
from edge_sdk.codes import MDC, Code
from edge_sdk.contracts import OutputContract
from edge_sdk.errors import ConfigError
from edge_sdk.signals import SignalKind

# Asystole (4 s), bradycardia (40/min) and tachycardia (140/min): G. Clifford et al., The PhysioNet/Computing in
# Cardiology Challenge 2015. Three ventricular beats are a run: Katritsis et al., EP Europace 2012. Shares of irregular
# intervals were chosen on DS1 of the MIT-BIH Arrhythmia Database. Codes: events of ISO/IEEE 11073-10101, as in DICOM
# PS3.16, CID 3038.
STANDARD_RULES: tuple[AlarmRule, ...] = (
    PauseRule(
        name="asystole",
        display="Asystole",
        code=Code(MDC, "199684", "Asystole"),
        priority=AlarmPriority.HIGH,
        after_s=4.0,
        suppresses=("bradycardia", "tachycardia", "ventricular-run", "irregular-rhythm"),
    ),
    RunRule(
        name="ventricular-run",
        display="Run of ventricular beats",
        priority=AlarmPriority.HIGH,
        label="V",
        suppresses=("irregular-rhythm",),
    ),
    SlowRule(
        name="bradycardia",
        display="Bradycardia",
        begin_per_minute=40.0,
        end_per_minute=45.0,
        delay_s=2.0,
        escalate_after_s=30.0,
    ),
    FastRule(
        name="tachycardia",
        display="Tachycardia",
        begin_per_minute=140.0,
        end_per_minute=130.0,
        delay_s=2.0,
        escalate_after_s=30.0,
    ),
    IrregularRule(
        name="irregular-rhythm",
        display="Irregular rhythm",
        code=Code(MDC, "199726", "Irregular rhythm"),
        priority=AlarmPriority.LOW,
        begin_share=0.4,
        end_share=0.3,
    ),
    LostRule(name="signal-lost", display="Signal lost", escalate_after_s=60.0),
)


def rules_in_force(
    models: Sequence[OutputContract], *, configured: Sequence[AlarmRule], kind: SignalKind
) -> tuple[AlarmRule, ...]:
    """Return what a gateway watches in a stream: the standard rules, the models' own, and the configuration's.

    A rule takes the place of the one of its name. Standard rules are for ECG; of them, every signal has the technical
    alarm, and one that does not fit the models' answers is left out.

    Args:
        models: What the answers of the models that read the stream mean.
        configured: What a person wrote.
        kind: What the stream is.

    Raises:
        ConfigError: A configured rule does not fit the models, has another's name, or suppresses one that is not there.
    """
    labels = [label.name for model in models for label in model.labels]
    quantities = [quantity.name for model in models for quantity in model.quantities]
    if name := repeated_name(configured):
        raise ConfigError(f"two alarm rules are named '{name}'", remedy="give each its own name")
    for rule in configured:
        problem = misfit(rule, labels=labels, quantities=quantities)
        if problem and rule.enabled:
            raise ConfigError(problem, remedy=f"watch one of {', '.join((*labels, *quantities)) or 'its answers'}")
    standard = [
        rule
        for rule in STANDARD_RULES
        if (kind == "ecg" or isinstance(rule, LostRule)) and not misfit(rule, labels=labels, quantities=quantities)
    ]
    own = [rule for model in models for rule in model.alarms]
    merged = {rule.name: rule for rule in (*standard, *own, *configured)}
    for rule in configured:
        _check_suppressed(rule, {*merged, *(some.name for some in STANDARD_RULES)})
    return tuple(rule for rule in merged.values() if rule.enabled)


def _check_suppressed(rule: AlarmRule, known: set[str]) -> None:
    for name in rule.suppresses:
        if name not in known:
            raise ConfigError(
                f"alarm rule '{rule.name}' suppresses '{name}', and there is no such rule",
                remedy=f"name one of {', '.join(sorted(known))}",
            )
