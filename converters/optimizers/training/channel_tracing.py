"""Which channels of a Keras model go together: a channel can be removed only where all that it meets goes too.

Every channel of every tensor gets a number. A layer that makes channels (a convolution, a dense layer) gives new ones,
a layer that works on each by itself hands them on, and where two tensors are added or multiplied their channels become
one. What is not known here keeps all of its channels, before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.optimizers.training.graphs import rewired

Channels = NDArray[np.int64]

_KEPT = 0  # the number of all channels that cannot be removed
_EACH_BY_ITSELF = {
    *("Activation", "ReLU", "Relu", "Relu6", "LeakyReLU", "ELU", "PReLU", "Sigmoid", "Tanh", "Gelu", "Silu"),
    *("BatchNormalization", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout"),
    *("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D"),
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D"),
    *("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "UpSampling1D", "UpSampling2D"),
}
_MAKING = {"Conv1D", "Conv2D", "SeparableConv1D", "SeparableConv2D", "Dense"}
_JOINING = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"}
_MIXING = {"softmax", "log_softmax", "sparsemax", "glu"}
_LOOPING = {"LSTM", "GRU", "SimpleRNN"}


@dataclass(kw_only=True)
class Wiring:
    """How a model's channels hang together.

    Attributes:
        inputs: By the identity of a layer, the numbers of its input's channels.
        outputs: Likewise of its output.
        makers: The layers that make channels, in order.
        left_whole: Names of layers whose channels are kept because how they meet is not known.
    """

    inputs: dict[int, Channels] = field(default_factory=dict)
    outputs: dict[int, Channels] = field(default_factory=dict)
    makers: list[Any] = field(default_factory=list)
    left_whole: list[str] = field(default_factory=list)
    _parents: list[int] = field(default_factory=lambda: [_KEPT])

    def new(self, count: int) -> Channels:
        """Return numbers for channels that were not there before."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def root(self, channel: int) -> int:
        """Return the one number that stands for a channel and all that go with it."""
        while self._parents[channel] != channel:
            channel = self._parents[channel]
        return channel

    def roots(self, channels: Channels) -> Channels:
        """Return `root` of each."""
        return np.array([self.root(int(channel)) for channel in channels], np.int64)

    def removable(self, channels: Channels) -> list[int]:
        """Return the roots of those that can be removed, each once, in order."""
        return [root for root in dict.fromkeys(self.roots(channels).tolist()) if root != _KEPT]

    def unite(self, first: Channels, second: Channels) -> None:
        """Make channels go together, one with one."""
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            low, high = sorted((self.root(one), self.root(other)))
            self._parents[high] = low

    def keep(self, channels: Channels) -> None:
        """Make channels ones that cannot be removed."""
        self.unite(channels, np.full(len(channels), _KEPT))


@dataclass(frozen=True, kw_only=True)
class Called:
    """One call of a layer.

    Attributes:
        layer: The layer or operation.
        given: The tensors it reads.
        channels: Of each of them.
        made: The tensors it gives.
        constant: Whether it reads an array too, which may have a value for each channel.
    """

    layer: Any
    given: list[Any]
    channels: list[Channels]
    made: list[Any]
    constant: bool

    @property
    def width(self) -> int:
        """Channels of the output."""
        return int(self.made[0].shape[-1] or 0)


def trace_channels(model: Any) -> Wiring:
    """Return how the channels of a Keras model, the last axis of each tensor, hang together.

    Raises:
        ConversionError: The model is Python code rather than a graph of layers.
    """
    import keras  # noqa: PLC0415  # heavy, and only this function needs it

    wiring = Wiring()
    known: dict[int, tuple[Any, Channels]] = {}  # holds the tensor too: its identity must not be given to another

    def channels_of(tensor: Any) -> Channels:
        if id(tensor) not in known:
            known[id(tensor)] = tensor, _kept(wiring, tensor)
        return known[id(tensor)][1]

    def call(layer: Any, *arguments: Any, **named: Any) -> Any:
        answer = layer(*arguments, **named)
        items = keras.tree.flatten((arguments, named))
        given = [item for item in items if isinstance(item, keras.KerasTensor)]
        called = Called(
            layer=layer,
            given=given,
            channels=[channels_of(tensor) for tensor in given],
            made=keras.tree.flatten(answer),
            constant=any(np.ndim(item) for item in items if not isinstance(item, keras.KerasTensor)),
        )
        found = _traced(wiring, called)
        for tensor in called.made:
            known[id(tensor)] = tensor, _kept(wiring, tensor) if found is None else found
        return answer

    for tensor in rewired(model, call).outputs:
        wiring.keep(channels_of(tensor))
    return wiring


def _kept(wiring: Wiring, tensor: Any) -> Channels:
    channels = wiring.new(int(tensor.shape[-1] or 0) if tensor.shape else 0)
    wiring.keep(channels)
    return channels


def _traced(wiring: Wiring, called: Called) -> Channels | None:
    """Return the channels of a layer's output; ``None`` where they are not known, all of its inputs' then kept."""
    follow = _rule(called)
    found = follow(wiring, called) if follow else None
    if found is None or len(found) != called.width:
        if any(wiring.removable(unknown) for unknown in called.channels) and not _mixes(called.layer):
            wiring.left_whole.append(called.layer.name)
        for unknown in called.channels:
            wiring.keep(unknown)
        return None
    # A layer that is called twice has one set of weights for both.
    for table, channels in ((wiring.inputs, called.channels[0]), (wiring.outputs, found)):
        wiring.unite(table.setdefault(id(called.layer), channels), channels)
    return found


Rule = Callable[[Wiring, Called], "Channels | None"]


def _rule(called: Called) -> Rule | None:
    layer = called.layer
    known = type(layer).__module__.startswith("keras.") and len(called.made) == 1 and not called.constant
    if known and getattr(layer, "data_format", None) != "channels_first":
        return next((rule for kinds, rule in _RULES if type(layer).__name__ in kinds), None)
    return None


def _each_by_itself(_wiring: Wiring, called: Called) -> Channels | None:
    alone = len(called.given) == 1 and not _mixes(called.layer)
    return called.channels[0] if alone and _is_last(called, getattr(called.layer, "axis", -1)) else None


def _made(wiring: Wiring, called: Called) -> Channels | None:
    if getattr(called.layer, "groups", 1) != 1:
        return None
    if id(called.layer) in wiring.outputs:
        return wiring.outputs[id(called.layer)]
    channels = wiring.new(called.width)
    if _mixes(called.layer):
        wiring.keep(channels)
    wiring.makers.append(called.layer)
    return channels


def _deepened(_wiring: Wiring, called: Called) -> Channels | None:
    return np.repeat(called.channels[0], called.layer.depth_multiplier)


def _joined(wiring: Wiring, called: Called) -> Channels | None:
    if any(len(tensor.shape) != len(called.made[0].shape) for tensor in called.given):
        return None
    whole = [channels for channels in called.channels if len(channels) == called.width]
    for channels in called.channels:
        if len(channels) == called.width:
            wiring.unite(whole[0], channels)
        else:
            wiring.keep(channels)  # one value for all channels
    return whole[0]


def _concatenated(_wiring: Wiring, called: Called) -> Channels | None:
    return np.concatenate(called.channels) if _is_last(called, called.layer.axis) else None


def _reshaped(_wiring: Wiring, called: Called) -> Channels | None:
    before, after = called.given[0].shape[1:], called.made[0].shape[1:]
    if None in (*before, *after):
        return None
    rows = np.broadcast_to(called.channels[0], before).reshape(-1, after[-1])
    return rows[0] if (rows == rows[0]).all() else None


def _looped(wiring: Wiring, called: Called) -> Channels | None:
    if len(called.given) != 1:
        return None
    wiring.left_whole.append(called.layer.name)
    return _kept(wiring, called.made[0])  # its units see each other


def _mixes(layer: Any) -> bool:
    """Return whether a layer's activation is not one that works on each channel by itself."""
    activation = getattr(layer, "activation", None)
    name = getattr(activation, "__name__", type(activation).__name__).lower()
    return activation is not None and (name in _MIXING or not activation.__module__.startswith("keras."))


def _is_last(called: Called, axis: int) -> bool:
    return axis in {-1, len(called.given[0].shape) - 1}


_RULES: tuple[tuple[set[str], Rule], ...] = (
    (_EACH_BY_ITSELF, _each_by_itself),
    (_MAKING, _made),
    ({"DepthwiseConv1D", "DepthwiseConv2D"}, _deepened),
    (_JOINING, _joined),
    ({"Concatenate"}, _concatenated),
    ({"Flatten", "Reshape"}, _reshaped),
    (_LOOPING, _looped),
)
