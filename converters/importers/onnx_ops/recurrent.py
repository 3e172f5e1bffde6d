"""LSTM, GRU and RNN: as a loop over time, or written out step by step for quantizers that cannot see into a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from converters.importers.onnx_ops.elementwise import hard_sigmoid
from converters.importers.onnx_ops.node import Node, Translate
from converters.importers.onnx_ops.values import Value

State = tuple[Any, ...]
Step = Callable[[Any, State], State]
_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "HardSigmoid": lambda x: hard_sigmoid(x, 0.2, 0.5),
    "Relu": tf.nn.relu,
    "Sigmoid": tf.sigmoid,
    "Tanh": tf.tanh,
}
_BATCH_FIRST = (1, 0, 2)  # how (time, batch, features) is stored


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Of one direction; inputs first.

    Attributes:
        given: What a step's input is multiplied with, (inputs, gates · hidden).
        kept: What the state is multiplied with, (hidden, gates · hidden).
        given_bias: Added to the first, for all steps at once; (gates · hidden,).
        kept_bias: Added to the second, (gates · hidden,); in the first already unless something comes between.
        activations: In the node's order.
    """

    given: Any
    kept: Any
    given_bias: Any
    kept_bias: Any
    activations: Sequence[Callable[[Any], Any]]


def _lstm(node: Node) -> tuple[Value, ...]:
    if node.has(7):
        raise node.refuse("it has peepholes")
    node.require("input_forget", 0)
    return _recurrent(node, states=2, activations=["Sigmoid", "Tanh", "Tanh"], step=_lstm_step)


def _gru(node: Node) -> tuple[Value, ...]:
    step = _gru_step if node.attribute("linear_before_reset", 0) else _gru_step_reset_first
    return _recurrent(node, states=1, activations=["Sigmoid", "Tanh"], step=step)


def _rnn(node: Node) -> tuple[Value, ...]:
    return _recurrent(node, states=1, activations=["Tanh"], step=_rnn_step)


def _lstm_step(weights: Weights) -> Step:
    gate, cell, out = weights.activations

    def step(given: Any, state: State) -> State:
        hidden, memory = state
        i, o, f, c = tf.split(given + tf.matmul(hidden, weights.kept), 4, axis=1)
        memory = gate(f) * memory + gate(i) * cell(c)
        return gate(o) * out(memory), memory

    return step


def _gru_step(weights: Weights) -> Step:
    gate, new = weights.activations

    def step(given: Any, state: State) -> State:
        (hidden,) = state
        z, r, n = tf.split(given, 3, axis=1)
        kept_z, kept_r, kept_n = tf.split(tf.nn.bias_add(tf.matmul(hidden, weights.kept), weights.kept_bias), 3, axis=1)
        update = gate(z + kept_z)
        fresh = new(n + gate(r + kept_r) * kept_n)
        return (fresh + update * (hidden - fresh),)

    return step


def _gru_step_reset_first(weights: Weights) -> Step:
    gate, new = weights.activations
    size = weights.kept.shape[0]
    gates, last = weights.kept[:, : 2 * size], weights.kept[:, 2 * size :]

    def step(given: Any, state: State) -> State:
        (hidden,) = state
        z, r = tf.split(gate(given[:, : 2 * size] + tf.matmul(hidden, gates)), 2, axis=1)
        fresh = new(given[:, 2 * size :] + tf.matmul(r * hidden, last))
        return (fresh + z * (hidden - fresh),)

    return step


def _rnn_step(weights: Weights) -> Step:
    (new,) = weights.activations
    return lambda given, state: (new(given + tf.matmul(state[0], weights.kept)),)


def _recurrent(
    node: Node, *, states: int, activations: list[str], step: Callable[[Weights], Step]
) -> tuple[Value, ...]:
    batch_first = bool(node.attribute("layout", 0))
    x = node.value(0)
    rows = x.logical if batch_first else x.stored(_BATCH_FIRST)
    batch, times, inputs = rows.shape
    _check(node, times, batch)
    rows = tf.reshape(rows, (times, inputs))
    found = []
    for number, weights in enumerate(_directions(node, activations)):
        backwards = number == 1 or node.attribute("direction", "forward") == "reverse"
        begin = tuple(_initial(node, 5 + state, number, weights) for state in range(states))
        given = tf.nn.bias_add(tf.matmul(rows, weights.given), weights.given_bias)
        found.append(_over_time(step(weights), given, begin, node, backwards=backwards))
    return _outputs(found, times, states, batch_first=batch_first)


def _check(node: Node, times: int, batch: int) -> None:
    if batch != 1:
        raise node.refuse(f"its batch is {batch}")
    if node.has(4) and not (np.asarray(node.constant(4)) == times).all():
        raise node.refuse("its sequences have lengths of their own")
    if "clip" in node.attributes:
        raise node.refuse("it clips")


def _directions(node: Node, default: list[str]) -> list[Weights]:
    given, kept = node.constant(1), node.constant(2)
    count, gates = given.shape[0], given.shape[1]
    bias = node.constant(3) if node.has(3) else np.zeros((count, 2 * gates), np.float32)
    apart = bool(node.attribute("linear_before_reset", 0))
    names = node.attribute("activations", default * count)
    if unknown := set(names) - set(_ACTIVATIONS):
        raise node.refuse(f"its activation is {', '.join(sorted(unknown))}")
    return [
        Weights(
            given=np.ascontiguousarray(given[number].T),
            kept=np.ascontiguousarray(kept[number].T),
            given_bias=bias[number, :gates] + (0 if apart else bias[number, gates:]),
            kept_bias=bias[number, gates:],
            activations=[_ACTIVATIONS[name] for name in names[number * len(default) : (number + 1) * len(default)]],
        )
        for number in range(count)
    ]


def _initial(node: Node, index: int, number: int, weights: Weights) -> Any:
    size = weights.kept.shape[0]
    if not node.has(index):
        return tf.zeros((1, size), tf.float32)
    value = node.value(index)
    first = value.logical[:, number] if node.attribute("layout", 0) else value.logical[number]
    return tf.reshape(first, (1, size))


def _over_time(step: Step, given: Any, begin: State, node: Node, *, backwards: bool) -> tuple[Any, State]:
    """Return the hidden state after each step, (times, hidden), in the order of time; and the last state."""
    if node.unroll:
        return _written_out(step, given, begin, backwards=backwards)
    times = given.shape[0]
    every = tf.TensorArray(tf.float32, times, element_shape=begin[0].shape)
    wants_every = node.wanted[0]

    def advance(at: Any, every: Any, state: State) -> tuple[Any, Any, State]:
        here = times - 1 - at if backwards else at
        state = step(tf.expand_dims(tf.gather(given, here), 0), state)
        return at + 1, every.write(here, state[0]) if wants_every else every, state

    _, every, last = tf.while_loop(
        lambda at, *_: at < times, advance, (tf.constant(0), every, begin), maximum_iterations=times
    )
    return tf.squeeze(every.stack(), 1) if wants_every else None, last


def _written_out(step: Step, given: Any, state: State, *, backwards: bool) -> tuple[Any, State]:
    times = given.shape[0]
    hidden = []
    for at in reversed(range(times)) if backwards else range(times):
        state = step(given[at : at + 1], state)
        hidden.append(state[0])
    return tf.concat(hidden[::-1] if backwards else hidden, 0), state


def _outputs(found: list[tuple[Any, State]], times: int, states: int, *, batch_first: bool) -> tuple[Value, ...]:
    count, size = len(found), found[0][1][0].shape[1]
    every = Value(tensor=None, order=(0, 1, 2, 3))
    if found[0][0] is not None:
        stacked = tf.concat([hidden for hidden, _ in found], 1)
        tensor = tf.reshape(stacked, (1, times, count, size))
        every = Value(tensor=tensor, order=(0, 1, 2, 3) if batch_first else (2, 0, 1, 3))
    last = [
        Value(
            tensor=tf.reshape(tf.concat([state[number] for _, state in found], 0), (count, 1, size)),
            order=(1, 0, 2) if batch_first else (0, 1, 2),
        )
        for number in range(states)
    ]
    return every, *last


OPERATORS: dict[str, Translate] = {"GRU": _gru, "LSTM": _lstm, "RNN": _rnn}
