"""Contracts for the tests of windows: heartbeats, a strip of signal, facts about a person."""

from __future__ import annotations

import msgspec

from edge_sdk.codes import Code
from edge_sdk.contracts import (
    FixedWindows,
    InputContract,
    Label,
    ModelContract,
    ModelInput,
    OutputContract,
    OutputQuantity,
    RecordWindows,
    Step,
)
from edge_sdk.signals import SignalFormat
from tests.conversion.conftest import CONTRACT

CODE = Code(system="urn:test", code="kind", display="Kind")
FACTS = ("age", "weight", "height")


def beats(*labels: str) -> ModelContract:
    """Heartbeats of 30 times and two columns with three features."""
    contract = msgspec.toml.decode(CONTRACT, type=ModelContract)
    return answering(contract, *labels) if labels else contract


def answering(contract: ModelContract, *labels: str) -> ModelContract:
    named = tuple(Label(name=label, display=label) for label in labels)
    return msgspec.structs.replace(contract, output=OutputContract(name="logits", code=CODE, labels=named))


def facts(*labels: str, steps: tuple[Step, ...] = ()) -> ModelContract:
    """Facts about a person; with labels a classifier, else systolic and diastolic pressure."""
    pressures = ("systolic", "diastolic")
    return ModelContract(
        id="facts",
        version="1.0.0",
        title="Facts",
        input=InputContract(
            windows=RecordWindows(),
            inputs=(ModelInput(name="x", takes="features", shape=(len(FACTS),), features=FACTS, steps=steps),),
        ),
        output=OutputContract(
            name="y",
            code=CODE,
            labels=tuple(Label(name=label, display=label) for label in labels),
            quantities=()
            if labels
            else tuple(OutputQuantity(name=name, display=name, unit="mm[Hg]") for name in pressures),
        ),
    )


def strips(
    *, sample_rate_hz: float = 360.0, channels: tuple[str, ...] = ("II", "MLII"), columns: int = 1
) -> ModelContract:
    """Half a second of one channel, every second."""
    times = round(0.5 * sample_rate_hz)
    return ModelContract(
        id="strips",
        version="1.0.0",
        title="Strips",
        input=InputContract(
            signal=SignalFormat(kind="ecg", unit="mV", channels=channels, sample_rate_hz=sample_rate_hz),
            windows=FixedWindows(length_s=0.5, hop_s=1.0),
            inputs=(ModelInput(name="x", takes="waveform", shape=(times, columns)),),
        ),
        output=OutputContract(
            name="y", code=CODE, labels=(Label(name="calm", display="calm"), Label(name="busy", display="busy"))
        ),
    )
