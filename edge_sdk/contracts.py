"""What a model expects and what its answers mean: the contracts a bundle carries.

With them an agent runs any model without a change of code.
"""

from __future__ import annotations

from typing import Annotated, Literal, Union

import msgspec

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


Windows = Union[BeatWindows, FixedWindows]


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
        features: Names of the columns when ``takes`` is ``features``; of those `edge_sdk.beats.FEATURE_NAMES` lists.

    Raises:
        ValueError: It does not name as many features as it takes.
    """

    name: str
    takes: Literal["waveform", "features"]
    shape: tuple[int, ...]
    steps: tuple[Step, ...] = ()
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.takes == "features" and self.shape != (len(self.features),):
            raise ValueError(f"input '{self.name}' has shape {self.shape} but names {len(self.features)} features")


class InputContract(msgspec.Struct, frozen=True, kw_only=True):
    """Which signal the model reads, how it is cut, and what each input tensor is made of.

    ``signal.channels`` lists acceptable channel names, best first; one is used.

    Raises:
        ValueError: Two inputs take features; a window has one set of them.
    """

    signal: SignalFormat
    windows: Windows
    inputs: tuple[ModelInput, ...]

    def __post_init__(self) -> None:
        if sum(wanted.takes == "features" for wanted in self.inputs) > 1:
            raise ValueError("more than one input takes features")

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


class OutputContract(msgspec.Struct, frozen=True, kw_only=True):
    """What the model's single output means: one probability per label, the largest decides.

    Attributes:
        name: The tensor's name in the model.
        code: What an observation of it is coded as.
        labels: In the order of the output's last axis.
        activation: What turns the output into probabilities.
        bias: Added to the log-probabilities before deciding, one per label; empty for none.
    """

    name: str
    code: Code
    labels: tuple[Label, ...]
    activation: Literal["none", "softmax"] = "none"
    bias: tuple[float, ...] = ()


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
