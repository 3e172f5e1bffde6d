"""What a model expects and what its answers mean: the contracts a bundle carries.

With them an agent runs any model without a change of code.
"""

from __future__ import annotations

from typing import Annotated, Literal, Union

import msgspec

from edge_sdk.alarm_rules import AlarmRule, misfit, repeated_name
from edge_sdk.codes import Code
from edge_sdk.signals import SignalFormat


class BeatWindows(msgspec.Struct, frozen=True, kw_only=True, tag="beat"):
    """One window per heartbeat, anchored on its R peak; see `edge_sdk.beats`.

    Attributes:
        before_s: Seconds of signal before the R peak, 0.15 to 2: enough for the QRS complex and some of the P wave.
        after_s: Seconds of signal from the R peak on, 0.25 to 2: enough for some of the T wave.
    """

    before_s: Annotated[float, msgspec.Meta(ge=0.15, le=2)]
    after_s: Annotated[float, msgspec.Meta(ge=0.25, le=2)]

    @property
    def duration_s(self) -> float:
        """Seconds from a window's first sample to its last."""
        return self.before_s + self.after_s


class FixedWindows(msgspec.Struct, frozen=True, kw_only=True, tag="fixed"):
    """Windows of one length, one every hop; both 0.01 to 3600 s. A hop beyond the length leaves samples out."""

    length_s: Annotated[float, msgspec.Meta(ge=0.01, le=3600)]
    hop_s: Annotated[float, msgspec.Meta(ge=0.01, le=3600)]

    @property
    def duration_s(self) -> float:
        """Seconds from a window's first sample to its last."""
        return self.length_s


class RecordWindows(msgspec.Struct, frozen=True, kw_only=True, tag="record"):
    """No signal at all: one answer for each set of facts about a person, such as age and blood pressure."""

    @property
    def duration_s(self) -> float:
        """Facts take no time."""
        return 0.0


Windows = Union[BeatWindows, FixedWindows, RecordWindows]


class Scale(msgspec.Struct, frozen=True, kw_only=True, tag="scale"):
    """``x * factor + offset``."""

    factor: float
    offset: float = 0.0


class Standardize(msgspec.Struct, frozen=True, kw_only=True, tag="standardize"):
    """``(x - mean) / std`` along the last axis, with constants of the training set."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class ZScore(msgspec.Struct, frozen=True, kw_only=True, tag="zscore"):
    """``(x - mean(x)) / max(std(x), floor)`` of the window itself, along time."""

    floor: float


class Clip(msgspec.Struct, frozen=True, kw_only=True, tag="clip"):
    """Limit to ``low … high``."""

    low: float
    high: float


Step = Union[Scale, Standardize, ZScore, Clip]


class ModelInput(msgspec.Struct, frozen=True, kw_only=True):
    """One input tensor of the model.

    Attributes:
        name: The tensor's name in the model.
        takes: Which part of a window it is made of.
        shape: Shape of one window, without the batch axis.
        steps: Preprocessing, in order.
        features: Names of the columns when ``takes`` is ``features``: for heartbeats, of those that
            `edge_sdk.beats.FEATURE_NAMES` lists; for records, of the facts.
        units: UCUM unit of each feature, for who must supply the facts of a record; empty when they need none.

    Raises:
        ValueError: It does not name as many features as it takes, or not a unit for each.
    """

    name: str
    takes: Literal["waveform", "features"]
    shape: tuple[int, ...]
    steps: tuple[Step, ...] = ()
    features: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.takes == "features" and self.shape != (len(self.features),):
            raise ValueError(f"input '{self.name}' has shape {self.shape} but names {len(self.features)} features")
        if self.units and len(self.units) != len(self.features):
            raise ValueError(f"input '{self.name}' names {len(self.features)} features and {len(self.units)} units")


class InputContract(msgspec.Struct, frozen=True, kw_only=True):
    """Which signal the model reads, how it is cut, and what each input tensor is made of.

    ``signal.channels`` lists acceptable channel names, best first; one is used.

    Raises:
        ValueError: Two inputs take features; a window has one set of them. Or there is a signal where records are read,
            none where there must be, or a waveform of a record.
    """

    windows: Windows
    inputs: tuple[ModelInput, ...]
    signal: SignalFormat | None = None

    def __post_init__(self) -> None:
        if sum(wanted.takes == "features" for wanted in self.inputs) > 1:
            raise ValueError("more than one input takes features")
        if self.reads_records != (self.signal is None):
            raise ValueError("windows of type 'record' have no signal, and every other type needs one")
        if self.reads_records and any(wanted.takes == "waveform" for wanted in self.inputs):
            raise ValueError("a record has no waveform")

    @property
    def reads_records(self) -> bool:
        """Whether the model reads facts about a person, and no stream."""
        return isinstance(self.windows, RecordWindows)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that a window must have, in order."""
        return next((wanted.features for wanted in self.inputs if wanted.takes == "features"), ())


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """One class of a classifier.

    Attributes:
        name: Short name, e.g. ``V``.
        display: Words for a person.
        abnormal: Whether a person may want to see the strip around it.
    """

    name: str
    display: str
    abnormal: bool = False


class OutputQuantity(msgspec.Struct, frozen=True, kw_only=True):
    """One number that a model estimates.

    Attributes:
        name: Short name, e.g. ``systolic``.
        display: Words for a person.
        unit: UCUM unit of the number after ``factor`` and ``offset``.
        factor: The model's value times this, plus ``offset``, is the quantity: for models trained on scaled targets.
        offset: See ``factor``, in ``unit``.
        code: What an observation of it is coded as, where the output's code does not say it.
    """

    name: str
    display: str
    unit: str
    factor: float = 1.0
    offset: float = 0.0
    code: Code | None = None


LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0


class OutputContract(msgspec.Struct, frozen=True, kw_only=True):
    """What the model's single output means: one probability per label, the largest decides; or quantities.

    Attributes:
        name: The tensor's name in the model.
        code: What an observation of it is coded as.
        labels: Of a classifier, in the order of the output's last axis; empty for quantities.
        quantities: Of a regression, in the order of the output's last axis; empty for labels.
        activation: What turns the output into probabilities: ``none`` where it already is one for each label,
            ``softmax`` for a logit for each; ``probability`` or ``sigmoid`` where a classifier of two labels has one
            value, the second label's probability or its logit.
        bias: Added to the log-probabilities before deciding, one per label; empty for none.
        temperature: The log-probabilities, with bias, are divided by it: it changes how sure an answer is, never which.
        alarms: Rules on these answers and on the signal's beats, beside or in place of a gateway's own.

    Raises:
        ValueError: Not either labels or quantities, or what the labels need does not fit them; an alarm rule that
            watches what is not there, or has another's name.
    """

    name: str
    code: Code
    labels: tuple[Label, ...] = ()
    quantities: tuple[OutputQuantity, ...] = ()
    activation: Literal["none", "softmax", "sigmoid", "probability"] = "none"
    bias: tuple[float, ...] = ()
    temperature: Annotated[float, msgspec.Meta(ge=LOWEST_TEMPERATURE, le=HIGHEST_TEMPERATURE)] = 1.0
    alarms: tuple[AlarmRule, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.labels) == bool(self.quantities):
            raise ValueError("an output has either labels or quantities")
        if self.has_one_value and len(self.labels) != _TWO:
            raise ValueError(f"activation '{self.activation}' is for two labels, and there are {len(self.labels)}")
        if self.bias and len(self.bias) != len(self.labels):
            raise ValueError(f"{len(self.bias)} values of bias do not fit {len(self.labels)} labels")
        if self.temperature != 1 and not self.labels:
            raise ValueError("a temperature is for probabilities, and quantities have none")
        self._check_alarms()

    def _check_alarms(self) -> None:
        name = repeated_name(self.alarms)
        if name:
            raise ValueError(f"two alarm rules are named '{name}'")
        labels, quantities = [label.name for label in self.labels], [quantity.name for quantity in self.quantities]
        for rule in self.alarms:
            if problem := misfit(rule, labels=labels, quantities=quantities):
                raise ValueError(problem)

    @property
    def has_one_value(self) -> bool:
        """Whether one value stands for two labels."""
        return self.activation in {"sigmoid", "probability"}

    @property
    def width(self) -> int:
        """How many values the model's output has for one window."""
        return 1 if self.has_one_value else len(self.labels or self.quantities)


_TWO = 2


class ModelContract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a model that its weights do not say. A person writes it as TOML.

    Attributes:
        id: Name of the model, stable over versions.
        version: Semantic version ``MAJOR.MINOR.PATCH``.
        title: Words for a person.
    """

    id: str
    version: str
    title: str
    input: InputContract
    output: OutputContract
