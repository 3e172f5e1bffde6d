"""Asking a model about one person: facts in, an answer out. For models that read no stream."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import msgspec
import numpy as np

from device_agents.inference import Inference
from device_agents.model_store import ReadyModel
from edge_sdk.codes import Code
from edge_sdk.contracts import InputContract, OutputContract
from edge_sdk.errors import SignalError
from edge_sdk.observation import Classification, Quantity
from edge_sdk.tensors import FloatArray
from edge_sdk.windowing import Window

_PLAIN = ("", "1")  # UCUM's unit of what has none, such as a code


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a model says about a person.

    Attributes:
        name: The quantity's or the label's short name.
        display: Words for a person.
        code: What an observation of it is coded as.
        value: The quantity with its unit, or the label with the probability of each.
    """

    name: str
    display: str
    code: Code
    value: Quantity | Classification


def ask(model: ReadyModel, facts: Mapping[str, float]) -> tuple[Answer, ...]:
    """Return what a model says: one answer of a classifier, one for each quantity of a regression.

    Args:
        model: A model that reads records.
        facts: Each feature of its contract, by name, in the contract's unit.

    Raises:
        SignalError: A fact is missing, unknown or no number; the model reads a stream; or it has no answer.
    """
    reads, answers = model.manifest.input, model.manifest.output
    if not reads.reads_records:
        raise SignalError("the model reads a stream, not facts about a person", remedy="run it with 'edge-agent run'")
    person = _record(reads, facts)
    values = Inference(model.runtime, reads=reads, answers=answers).decide(person)
    if values is None:
        raise SignalError(
            "the model's answer to these facts is no number", remedy="check them, and the model's contract"
        )
    return _named(values, answers)


def in_words(answer: Answer) -> str:
    """Return an answer as a line for a person."""
    if isinstance(answer.value, Quantity):
        return f"{answer.display}: {answer.value.value:.4g} {answer.value.unit}"
    chances = ", ".join(f"{name} {chance:.1%}" for name, chance in answer.value.probabilities.items())
    return f"{answer.code.display}: {answer.display} ({chances})"


def _record(reads: InputContract, facts: Mapping[str, float]) -> Window:
    wanted = _with_units(reads)
    for name in facts:
        if name not in wanted:
            near = difflib.get_close_matches(name, wanted, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it takes {_listed(wanted)}"
            raise SignalError(f"the model takes no fact '{name}'", remedy=hint)
    missing = {name: unit for name, unit in wanted.items() if name not in facts}
    if missing:
        raise SignalError(f"the model needs {_listed(missing)} too", remedy="give every fact; none may be missing")
    with np.errstate(over="ignore"):
        values = np.array([facts[name] for name in wanted], np.float32)
    for name, finite in zip(wanted, np.isfinite(values), strict=True):
        if not finite:
            raise SignalError(f"'{name}' is {facts[name]}, which is no finite number", remedy="give what was measured")
    waveform = np.empty((0, 0), np.float32)
    return Window(start_index=0, end_index=0, anchor_index=0, waveform=waveform, features=values)


def _with_units(reads: InputContract) -> dict[str, str]:
    return {
        name: unit
        for wanted in reads.inputs
        for name, unit in zip(wanted.features, wanted.units or [""] * len(wanted.features), strict=True)
    }


def _listed(facts: Mapping[str, str]) -> str:
    return ", ".join(name if unit in _PLAIN else f"{name} ({unit})" for name, unit in facts.items())


def _named(values: FloatArray, answers: OutputContract) -> tuple[Answer, ...]:
    if answers.labels:
        label = answers.labels[int(values.argmax())]
        chances = dict(zip((each.name for each in answers.labels), values.tolist(), strict=True))
        decision = Classification(label.name, chances)
        return (Answer(name=label.name, display=label.display, code=answers.code, value=decision),)
    return tuple(
        Answer(
            name=quantity.name,
            display=quantity.display,
            code=quantity.code or answers.code,
            value=Quantity(value, quantity.unit),
        )
        for quantity, value in zip(answers.quantities, values.tolist(), strict=True)
    )
