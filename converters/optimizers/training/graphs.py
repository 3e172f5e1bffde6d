"""Keras models as graphs of layers that can be walked, copied and wired in another way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_sdk.errors import ConversionError

_NOISE = {
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout"),
    *("GaussianNoise", "GaussianDropout", "ActivityRegularization"),
}
_NO_NOISE = {"dropout": 0.0, "recurrent_dropout": 0.0}
# Called as ``call(layer, *arguments, **keyword_arguments)`` with symbolic tensors; returns the layer's outputs.
Call = Callable[..., Any]


def rewired(model: Any, call: Call) -> Any:
    """Return a model over new inputs of the same names, each layer called through ``call``.

    Models inside the model are entered, so that ``call`` sees only layers and operations.

    Args:
        model: A Keras functional or sequential model.
        call: Stands for the call of every layer, in an order in which each has its inputs.

    Raises:
        ConversionError: The model is Python code rather than a graph of layers.
    """
    import keras  # noqa: PLC0415  # heavy, and only this function needs it

    given = keras.tree.map_structure(
        lambda tensor: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name), _graph(model).input
    )
    return keras.Model(given, _through(model, given, call), name=model.name)


def copied(model: Any) -> Any:
    """Return a model that answers the same, of layers of its own, all of them trainable, and no models inside it.

    Dropout, noise and penalties on weights are left out. They help to learn from labels; a model that is taught the
    answers of another is kept from them: with them, half of a network's weights cost 1.5 % of its decisions, without
    them 0.06 %.

    Raises:
        ConversionError: The model is Python code rather than a graph of layers.
    """
    return remade(model, lambda layer: Remake(config=_plain(layer.get_config()), weights=layer.get_weights()))


@dataclass(frozen=True, kw_only=True)
class Remake:
    """What a layer is made again of.

    Attributes:
        config: As the layer's class takes it.
        weights: Arrays in the layer's order.
    """

    config: dict[str, Any]
    weights: list[Any]


def remade(model: Any, remake: Callable[[Any], Remake]) -> Any:
    """Return a model with the same wiring, each of whose layers is made again.

    Raises:
        ConversionError: The model is Python code rather than a graph of layers.
    """
    twins: dict[int, Any] = {}
    weights: list[tuple[Any, list[Any]]] = []
    taken: set[str] = set()

    def call(layer: Any, *arguments: Any, **named: Any) -> Any:
        if type(layer).__name__ in _NOISE:
            return arguments[0]
        if id(layer) not in twins:
            if not is_layer(layer):
                twins[id(layer)] = _renamed(layer.__class__.from_config(layer.get_config()), taken)
            else:
                made = remake(layer)
                config = {**made.config, "name": _free_name(layer.name, taken)}
                twins[id(layer)] = layer.__class__.from_config(config)
                weights.append((twins[id(layer)], made.weights))
        return twins[id(layer)](*arguments, **named)

    model = rewired(model, call)
    for twin, values in weights:
        twin.set_weights(values)
    model.trainable = True
    return model


def is_layer(operation: Any) -> bool:
    """Return whether something in a graph is a layer, and not a bare operation such as ``x + y``."""
    return hasattr(operation, "get_weights")


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    return {key: None if key.endswith("_regularizer") else _NO_NOISE.get(key, value) for key, value in config.items()}


def _graph(model: Any) -> Any:
    import keras  # noqa: PLC0415

    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs, model.outputs)
    if not hasattr(model, "_run_through_graph"):
        raise ConversionError(
            f"the model, a {type(model).__name__}, is Python code rather than a graph of layers, and cannot be pruned",
            remedy="build it with the functional API or keras.Sequential",
        )
    return model


def _through(model: Any, given: Any, call: Call) -> Any:
    import keras  # noqa: PLC0415

    def enter_or_call(layer: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(layer, keras.Model):
            return _through(layer, arguments[0], call)
        return call(layer, *arguments, **named)

    # The public way, keras.models.clone_model, does not enter sequential models.
    return _graph(model)._run_through_graph(  # noqa: SLF001
        given, operation_fn=lambda layer: layer, call_fn=enter_or_call
    )


def _renamed(operation: Any, taken: set[str]) -> Any:
    operation.name = _free_name(operation.name, taken)
    return operation


def _free_name(name: str, taken: set[str]) -> str:
    free = next(candidate for candidate in (name, *(f"{name}_{n}" for n in range(2, 10_000))) if candidate not in taken)
    taken.add(free)
    return free
