"""Whether a bundle answers elsewhere as it does here: on this machine's runtimes, and on an emulated Arm CPU.

Integer answers are sums of integers, so the same kernels give the same bits on every CPU. LiteRT's fast kernels
(XNNPACK) do: they are held against the same on this machine. tflite-runtime's fast kernels round differently on x86,
and on Arm exactly as its reference kernels do: it is held against those, run here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.emulation.setup import Emulator
from converters.probing.here import ThisMachine
from converters.probing.jobs import Answer, Job, Machine, Runtime, litert_artifact, stored_inputs
from edge_sdk.bundle import Bundle
from edge_sdk.errors import MissingDependency, VerificationError
from edge_sdk.manifest import Artifact
from edge_sdk.selftest import SelfTest
from edge_sdk.tensors import FloatArray, TensorSpec, dequantize

_RUNTIMES: tuple[Runtime, ...] = ("litert", "tflite-runtime")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one runtime on one machine did.

    Attributes:
        machine: What ran it.
        runtime: Name and version.
        cases: Windows run.
        compared_with: The run on this machine that it is held against; empty for none.
        identical: Whether its stored integers are that run's, to the bit; ``None`` if the output is float, or there is
            no such run.
        different: Fraction of the stored values that differ from that run's; 0 without one.
        here_error: Largest difference from that run in real values; 0 without one.
        signed_error: Largest difference from the signed answers, in real values; NaN if an answer is.
        tolerance: What the signed self-test allows.
    """

    machine: str
    runtime: str
    cases: int
    compared_with: str = ""
    identical: bool | None = None
    different: float = 0.0
    here_error: float = 0.0
    signed_error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether integers are identical, and everything is within the tolerance."""
        within = self.signed_error <= self.tolerance and self.here_error <= self.tolerance
        return within and self.identical is not False


def verify_here(bundle: Bundle) -> list[Outcome]:
    """Run a bundle's self-test on every runtime that is installed on this machine. Raises as `Machine.run` does."""
    artifact, test = litert_artifact(bundle), bundle.self_test
    machine, found, missing = ThisMachine(), [], []
    for runtime in _RUNTIMES:
        try:
            answer = machine.run(job_of(bundle, artifact, runtime=runtime))
        except MissingDependency as error:
            missing.append(error)
            continue
        found.append(judge(answer, None, test, artifact, machine=machine.name))
    if not found:
        raise missing[0]
    return found


def verify_emulated(bundle: Bundle, emulator: Emulator) -> list[Outcome]:
    """Run a bundle's self-test on the emulated CPU, beside the same on this machine. Raises as `Machine.run` does."""
    artifact, test = litert_artifact(bundle), bundle.self_test
    found = []
    for runtime in (runtime for runtime in _RUNTIMES if runtime in emulator.machines):
        machine: Machine = emulator.machines[runtime]
        answer = machine.run(job_of(bundle, artifact, runtime=runtime))
        here = _here(bundle, artifact, emulator, runtime)
        found.append(judge(answer, here, test, artifact, machine=machine.name))
    return found


def job_of(bundle: Bundle, artifact: Artifact, *, runtime: Runtime, reference_kernels: bool = False) -> Job:
    """Return a bundle's self-test as a job."""
    return Job(
        model=bundle.members[artifact.path],
        inputs=stored_inputs(bundle.self_test, artifact.inputs),
        runtime=runtime,
        reference_kernels=reference_kernels,
    )


def _here(bundle: Bundle, artifact: Artifact, emulator: Emulator, runtime: Runtime) -> Answer | None:
    machine = emulator.here.get(runtime)
    if machine is None:
        return None
    return machine.run(job_of(bundle, artifact, runtime=runtime, reference_kernels=runtime == "tflite-runtime"))


def judge(answer: Answer, here: Answer | None, test: SelfTest, artifact: Artifact, *, machine: str) -> Outcome:
    """Return how an answer compares with this machine's, if there is one, and with the signed one."""
    (spec,) = artifact.outputs
    values = _real(answer, spec)
    expected = np.stack([case.expected.numpy() for case in test.cases])
    beside = {}
    if here is not None:
        stored, stored_here = answer.outputs[0], here.outputs[0]
        whole = np.issubdtype(stored.dtype, np.integer)
        kernels = "reference kernels" if here.runtime == "tflite-runtime" else "same kernels"
        beside = {
            "compared_with": f"{here.runtime} {here.version} here, {kernels}",
            "identical": bool(np.array_equal(stored, stored_here)) if whole else None,
            "different": float((stored != stored_here).mean()),
            "here_error": _largest(values, _real(here, spec)),
        }
    return Outcome(
        machine=machine,
        runtime=f"{answer.runtime} {answer.version}",
        cases=len(test.cases),
        signed_error=_largest(values, expected),
        tolerance=test.tolerance,
        **beside,  # type: ignore[arg-type]
    )


def check(outcomes: Sequence[Outcome]) -> None:
    """Return if all passed.

    Raises:
        VerificationError: One did not; says which and by how much.
    """
    for outcome in outcomes:
        if outcome.passed:
            continue
        if outcome.identical is False:
            what = f"{outcome.different:.2%} of its integers differ from {outcome.compared_with}"
        else:
            largest = max(outcome.signed_error, outcome.here_error)
            what = f"answers differ by {largest:.3g}; the signed self-test allows {outcome.tolerance:.3g}"
        raise VerificationError(
            f"{outcome.runtime} on {outcome.machine}: {what}",
            remedy="do not run this bundle with that runtime; try a newer one, or another recipe",
        )


def _real(answer: Answer, spec: TensorSpec) -> FloatArray:
    """Return real answers, (cases, width)."""
    return dequantize(answer.outputs[0], spec)[:, 0]


def _largest(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float(np.abs(first - second).max())
