"""Small real values of every contract, and Hypothesis strategies for messages."""

import msgspec
import numpy as np
from hypothesis import strategies as st

from edge_sdk import codes
from edge_sdk.alarm_rules import AlarmPriority, RunRule, SlowRule
from edge_sdk.bundle import file_entries
from edge_sdk.codes import Code
from edge_sdk.contracts import (
    FixedWindows,
    InputContract,
    Label,
    ModelInput,
    OutputContract,
    OutputQuantity,
    RecordWindows,
    ZScore,
)
from edge_sdk.manifest import (
    Artifact,
    Component,
    GroupFigures,
    LayerFigures,
    Manifest,
    Provenance,
    QuantityFigures,
    VerificationReport,
)
from edge_sdk.messages import MAX_SEQ, Ack, Entry, Status, Tombstone
from edge_sdk.observation import (
    AlarmState,
    Classification,
    ClockQuality,
    ModelRef,
    Observation,
    Priority,
    Quantity,
    SampledData,
)
from edge_sdk.selftest import Array, Case, SelfTest, encode_self_test
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import TensorSpec

ARTIFACT, SELF_TEST = "models/cpu.tflite", "selftest.msgpack"


def members() -> dict[str, bytes]:
    """Return a model of 1 KiB that no runtime could run, and a self-test."""
    window = np.linspace(-1, 1, 8, dtype=np.float32).reshape(8, 1)
    case = Case(inputs={"ecg": Array.of(window)}, expected=Array.of(np.array([0.75, 0.25], np.float32)))
    return {ARTIFACT: bytes(range(256)) * 4, SELF_TEST: encode_self_test(SelfTest(cases=(case,), tolerance=0.02))}


def manifest(files: dict[str, bytes] | None = None) -> Manifest:
    """Return a manifest of ``files``, by default of `members`."""
    signal = SignalFormat(kind="ecg", unit=codes.MILLIVOLT, channels=("MLII",), sample_rate_hz=360.0)
    return Manifest(
        schema_version="1.0",
        model_id="sample",
        model_version="1.2.3",
        title="A sample, not a model",
        recipe="int8",
        artifacts=(
            Artifact(
                path=ARTIFACT,
                backend="litert",
                targets=("raspberry-pi-4b", "raspberry-pi-5"),
                inputs=(TensorSpec(name="ecg", shape=(1, 8, 1), dtype="int8", scale=0.01, zero_point=-3),),
                outputs=(TensorSpec(name="class", shape=(1, 2), dtype="int8", scale=1 / 256, zero_point=-128),),
                minimum_runtime="1.4.0",
            ),
        ),
        files=file_entries(members() if files is None else files),
        input=InputContract(
            signal=signal,
            windows=FixedWindows(length_s=8 / 360, hop_s=8 / 360),
            inputs=(ModelInput(name="ecg", takes="waveform", shape=(8, 1), steps=(ZScore(floor=1e-3),)),),
        ),
        output=OutputContract(
            name="class",
            code=codes.BEAT_CLASS,
            labels=(Label(name="N", display="Normal"), Label(name="V", display="Ventricular", abnormal=True)),
        ),
        verification=VerificationReport(
            windows=100,
            agreement=0.99,
            accuracy_float=0.97,
            accuracy_compiled=0.965,
            max_probability_error=0.03,
            budget_points=1.0,
        ),
        provenance=Provenance(
            source_name="sample.keras",
            source_sha256="0" * 64,
            components=(Component(name="numpy", version="2.0.0", purl="pkg:pypi/numpy@2.0.0"),),
        ),
        self_test=SELF_TEST,
    )


def record_manifest() -> Manifest:
    """Return a manifest of a model that estimates a quantity from facts about a person, with every kind of figure."""
    found = QuantityFigures(
        name="systolic",
        unit="mm[Hg]",
        windows=100,
        mean_error_float=0.25,
        mean_error_compiled=0.5,
        mean_absolute_error_float=12.0,
        mean_absolute_error_compiled=12.5,
        error_deviation_float=16.0,
        error_deviation_compiled=16.5,
        r_squared_float=0.25,
        r_squared_compiled=0.2475,
        max_difference=1.5,
    )
    women = GroupFigures(
        attribute="sex",
        value="F",
        windows=50,
        agreement=0.98,
        lost_points=0.25,
        lost_windows=50.0,
        lost="R² of systolic",
    )
    return msgspec.structs.replace(
        manifest(),
        schema_version="1.1",
        input=InputContract(
            windows=RecordWindows(),
            inputs=(
                ModelInput(name="ecg", takes="features", shape=(2,), features=("age", "weight"), units=("a", "kg")),
            ),
        ),
        output=OutputContract(
            name="class",
            code=Code("urn:test", "pressure", "Pressure"),
            quantities=(
                OutputQuantity(name="systolic", display="Systolic pressure", unit="mm[Hg]", factor=10.0, offset=120.0),
            ),
        ),
        verification=VerificationReport(
            windows=100,
            agreement=0.99,
            accuracy_float=-1.0,
            accuracy_compiled=-1.0,
            max_probability_error=0.0,
            budget_points=0.5,
            quantities=(found,),
            groups=(women,),
            layers=(LayerFigures(name="dense", operator="FULLY_CONNECTED", sqnr_db=42.5),),
            parity_error=1e-6,
        ),
    )


def alarm_manifest() -> Manifest:
    """Return a manifest of a classifier with alarm rules and a temperature."""
    plain = manifest()
    run = RunRule(name="run", label="V", beats=4, priority=AlarmPriority.HIGH, latching=True, suppresses=("slow",))
    slow = SlowRule(name="slow", begin_per_minute=45.0, end_per_minute=50.0, code=Code("urn:test", "slow", "Slow"))
    return msgspec.structs.replace(
        plain,
        schema_version="1.2",
        output=msgspec.structs.replace(plain.output, temperature=1.25, alarms=(run, slow)),
        verification=msgspec.structs.replace(plain.verification, calibration_error_unscaled=0.125),
    )


def observation() -> Observation:
    """Return an alarm with every field set."""
    return Observation(
        code=codes.BEAT_CLASS,
        effective_time_ns=1_700_000_000_000_000_000,
        stream="ecg-1",
        subject="pseudonym-7",
        value=Classification("V", {"N": 0.125, "V": 0.875}),
        clock=ClockQuality.CORRECTED,
        quality=0.5,
        priority=Priority.ALARM,
        model=ModelRef(id="sample", version="1.2.3", bundle_sha256="0" * 64, runtime="litert 2.3.0"),
    )


finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-9, max_value=1e9)
fractions = st.floats(min_value=0, max_value=1)
seqs = st.integers(min_value=1, max_value=MAX_SEQ)
counts = st.integers(min_value=0, max_value=MAX_SEQ)
epochs = st.text(min_size=1, max_size=64)

values = st.one_of(
    st.none(),
    st.builds(Quantity, finite, st.text(max_size=8)),
    st.builds(Classification, st.text(max_size=8), st.dictionaries(st.text(max_size=4), fractions, max_size=6)),
    st.builds(
        SampledData,
        st.text(max_size=8),
        positive,
        positive,
        st.integers(0, 50).flatmap(lambda n: st.binary(min_size=2 * n, max_size=2 * n)),
        finite,
    ),
)
model_refs = st.builds(
    ModelRef, id=st.text(max_size=8), version=st.just("1.0.0"), bundle_sha256=st.just("0" * 64), runtime=st.text()
)
times_ns = st.integers(min_value=-(2**63), max_value=2**63 - 1)
alarms = st.builds(
    AlarmState,
    rule=st.text(max_size=8),
    state=st.sampled_from(["begin", "escalate", "end"]),
    priority=st.sampled_from(AlarmPriority),
    since_ns=times_ns,
)
observations = st.builds(
    Observation,
    code=st.builds(Code, st.text(max_size=8), st.text(max_size=8), st.text(max_size=8)),
    effective_time_ns=times_ns,
    stream=st.text(max_size=8),
    subject=st.text(max_size=8),
    value=values,
    absent_reason=st.sampled_from(["", "error", "unknown"]),
    clock=st.sampled_from(ClockQuality),
    quality=st.none() | fractions,
    priority=st.sampled_from(Priority),
    model=st.none() | model_refs,
    alarm=st.none() | alarms,
)
entries = st.builds(Entry, seqs, observations)
ranges = st.lists(seqs, min_size=2, max_size=2).map(sorted).map(tuple)
tombstones = ranges.flatmap(
    lambda pair: st.builds(Tombstone, first_seq=st.just(pair[0]), last_seq=st.just(pair[1]), reason=st.text(max_size=9))
)
acks = st.builds(Ack, epoch=epochs, watermark=counts, ranges=st.lists(ranges, max_size=4).map(tuple))
statuses = st.builds(
    Status,
    online=st.booleans(),
    epoch=st.text(max_size=64),
    agent_version=st.text(max_size=8),
    runtime=st.text(max_size=8),
    model_id=st.text(max_size=8),
    backlog=counts,
    windows=counts,
    rejected_windows=counts,
    resident_bytes=counts,
    inference_us_p50=positive,
    at_ns=counts,
)
