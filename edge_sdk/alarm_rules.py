"""Alarm rules as data: what a bundle or a person's configuration says about when to alarm.

Each rule has a limit to begin and another to end (hysteresis), a time that it must hold, and a priority of
IEC 60601-1-8. Limits of time keep what a cardiac monitor must: asystole and rate alarms within 10 s of their cause
(IEC 60601-2-27, ANSI/AAMI EC13), and a lost signal within 5 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Union

import msgspec

from edge_sdk.codes import LOCAL, Code

Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
PerMinute = Annotated[float, msgspec.Meta(ge=10, le=350)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Beats = Annotated[int, msgspec.Meta(ge=1, le=100)]
# A rate is known three intervals after it changed, 4 s at 30/min, and a beat is found within 3 s.
RateDelay = Annotated[float, msgspec.Meta(ge=0, le=3)]
Pause = Annotated[float, msgspec.Meta(ge=2, le=7)]
Loss = Annotated[float, msgspec.Meta(ge=0, le=4)]


class AlarmPriority(str, Enum):
    """Priorities of IEC 60601-1-8: how soon somebody must respond."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class _Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What every rule has.

    Attributes:
        name: Short name. A rule of the configuration takes the place of the bundle's of the same name.
        display: Words for a person; none for the name.
        code: What its observations are coded as; none for our own code of that name.
        priority: How soon somebody must respond.
        latching: Whether the alarm stays when its cause is gone, until somebody acknowledges it.
        escalate_after_s: Seconds without acknowledgement after which the priority rises by one; 0 for never.
        suppresses: Names of the rules that say nothing while this alarm is on.
        enabled: False to do without the rule of this name.

    Raises:
        ValueError: It suppresses itself, or its limits leave no alarm or no end to one.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    display: str = ""
    code: Code | None = None
    priority: AlarmPriority = AlarmPriority.MEDIUM
    latching: bool = False
    escalate_after_s: Seconds = 0.0
    suppresses: tuple[str, ...] = ()
    enabled: bool = True

    def __post_init__(self) -> None:
        if self.name in self.suppresses:
            raise ValueError(f"alarm rule '{self.name}' suppresses itself")

    @property
    def coded(self) -> Code:
        """What its observations are coded as."""
        return self.code or Code(LOCAL, self.name, self.display or self.name)

    def _check_order(self, lower: float, higher: float) -> None:
        if not lower < higher:
            raise ValueError(f"alarm rule '{self.name}': the limits to begin and to end leave no room between them")


class RunRule(_Rule, frozen=True, kw_only=True, tag="run"):
    """Beats of one label in a row.

    Attributes:
        label: Of the model's labels.
        beats: So many in a row begin it.
        end_beats: So many others in a row end it: one misread beat inside a run must not.
    """

    label: str
    beats: Beats = 3
    end_beats: Beats = 3


class FastRule(_Rule, frozen=True, kw_only=True, tag="rate-above"):
    """A heart rate above a limit.

    Attributes:
        begin_per_minute: Above it begins.
        end_per_minute: Below it ends.
        delay_s: How long it must hold, at most 3 s.
    """

    begin_per_minute: PerMinute
    end_per_minute: PerMinute
    delay_s: RateDelay = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_order(self.end_per_minute, self.begin_per_minute)


class SlowRule(_Rule, frozen=True, kw_only=True, tag="rate-below"):
    """A heart rate below a limit.

    Attributes:
        begin_per_minute: Below it begins.
        end_per_minute: Above it ends.
        delay_s: How long it must hold, at most 3 s.
    """

    begin_per_minute: PerMinute
    end_per_minute: PerMinute
    delay_s: RateDelay = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_order(self.begin_per_minute, self.end_per_minute)


class PauseRule(_Rule, frozen=True, kw_only=True, tag="no-beat"):
    """No heartbeat for a while, though the signal is good.

    Attributes:
        after_s: Seconds without a beat that begin it, 2 to 7.
        end_beats: So many beats, each within ``after_s`` of the one before, end it.
    """

    after_s: Pause
    end_beats: Beats = 2


class IrregularRule(_Rule, frozen=True, kw_only=True, tag="irregular"):
    """A rhythm without a pattern, as in atrial fibrillation.

    Attributes:
        begin_share: Share of irregular intervals, among the latest, above which it begins.
        end_share: Share below which it ends.
        delay_s: How long it must hold.
    """

    begin_share: Share
    end_share: Share
    delay_s: Seconds = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_order(self.end_share, self.begin_share)


class _QuantityRule(_Rule, frozen=True, kw_only=True):
    quantity: str
    begin: float
    end: float
    delay_s: Seconds = 10.0


class LowRule(_QuantityRule, frozen=True, kw_only=True, tag="quantity-below"):
    """One of the model's quantities under a limit, such as oxygen saturation.

    Attributes:
        quantity: Name of the quantity.
        begin: Under it begins, in the quantity's unit.
        end: Over it ends.
        delay_s: How long it must hold.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_order(self.begin, self.end)


class HighRule(_QuantityRule, frozen=True, kw_only=True, tag="quantity-above"):
    """One of the model's quantities over a limit.

    Attributes:
        quantity: Name of the quantity.
        begin: Over it begins, in the quantity's unit.
        end: Under it ends.
        delay_s: How long it must hold.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_order(self.end, self.begin)


class LostRule(_Rule, frozen=True, kw_only=True, tag="signal-lost"):
    """The signal is missing or too bad to tell anything: a technical alarm, in place of all others.

    Attributes:
        after_s: Seconds of bad signal that begin it, 0 to 4. Shorter losses add up until the signal stays good.
        end_after_s: So long the signal must stay good to end it.
    """

    after_s: Loss = 3.0
    end_after_s: Seconds = 5.0


AlarmRule = Union[RunRule, FastRule, SlowRule, PauseRule, IrregularRule, LowRule, HighRule, LostRule]


def misfit(rule: AlarmRule, *, labels: Sequence[str], quantities: Sequence[str]) -> str:
    """Return why a rule cannot watch models with these answers; empty when it can."""
    if isinstance(rule, RunRule) and rule.label not in labels:
        return f"alarm rule '{rule.name}' watches label '{rule.label}', and no model has it"
    if isinstance(rule, (LowRule, HighRule)) and rule.quantity not in quantities:
        return f"alarm rule '{rule.name}' watches quantity '{rule.quantity}', and no model has it"
    return ""


def repeated_name(rules: Sequence[AlarmRule]) -> str:
    """Return a name that two rules have, or nothing."""
    names = [rule.name for rule in rules]
    return next((name for name in names if names.count(name) > 1), "")
