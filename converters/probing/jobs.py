"""What a machine is asked to run, what it answers, and how both are written down."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from converters.probing import probe
from edge_sdk.bundle import Bundle
from edge_sdk.errors import ConversionError, IncompatibleBundle, MissingDependency
from edge_sdk.manifest import Artifact
from edge_sdk.selftest import SelfTest
from edge_sdk.tensors import TensorSpec, quantize

Runtime = Literal["auto", "litert", "tflite-runtime"]
_NOT_MADE_HERE = "a bundle for {} runs on its board alone; verify it there with 'edge-agent selftest'"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A model and the windows to run through it.

    Attributes:
        model: The LiteRT flatbuffer.
        inputs: Stored values of each input, in the model's order, each (cases, 1, …).
        runtime: What is to run it.
        reference_kernels: Whether the plain kernels, written to be right, replace the fast ones.
        threads: For the runtime.
        runs: How many inferences to time.
        warm_up: How many to run before.
    """

    model: bytes
    inputs: tuple[NDArray[Any], ...]
    runtime: Runtime
    reference_kernels: bool = False
    threads: int = 1
    runs: int = 0
    warm_up: int = 0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a machine found.

    Attributes:
        runtime: What ran the model.
        version: Of the runtime.
        outputs: Stored values of each output, each (cases, 1, …).
        load_s: Seconds to load the model.
        times_us: Microseconds of each timed inference.
        peak_memory_bytes: The most that the process had resident.
        where: The machine: host, board, cpu, machine, cores, governor, os, python, numpy.
    """

    runtime: str
    version: str
    outputs: tuple[NDArray[Any], ...]
    load_s: float
    times_us: tuple[float, ...]
    peak_memory_bytes: int
    where: Mapping[str, Any]


class Machine(Protocol):
    """Something that runs jobs."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    def run(self, job: Job) -> Answer:
        """Run a job in a fresh process there.

        Raises:
            Unavailable: The machine cannot be reached.
            MissingDependency: The runtime is not installed there.
            IncompatibleBundle: The runtime does not load the model.
            ConversionError: The process died.
        """


def litert_artifact(bundle: Bundle) -> Artifact:
    """Return the model that LiteRT runs.

    Raises:
        IncompatibleBundle: The bundle has none.
    """
    for artifact in bundle.manifest.artifacts:
        if artifact.backend == "litert":
            return artifact
    backends = ", ".join(sorted({artifact.backend for artifact in bundle.manifest.artifacts}))
    raise IncompatibleBundle(
        f"{bundle.manifest.model_id} {bundle.manifest.model_version} holds no model for LiteRT",
        remedy=_NOT_MADE_HERE.format(backends),
    )


def stored_inputs(test: SelfTest, specs: tuple[TensorSpec, ...]) -> tuple[NDArray[Any], ...]:
    """Return a self-test's windows as the model stores them, each (cases, 1, …)."""
    return tuple(
        np.stack([quantize(case.inputs[spec.name].numpy()[None], spec) for case in test.cases]) for spec in specs
    )


def write_job(job: Job, folder: Path) -> None:
    """Write a job, and the script that runs it, into a folder."""
    files = [f"input-{index}.npy" for index in range(len(job.inputs))]
    for file, values in zip(files, job.inputs, strict=True):
        np.save(folder / file, values)
    (folder / "model.tflite").write_bytes(job.model)
    (folder / "probe.py").write_bytes(Path(probe.__file__).read_bytes())
    words = {
        "runtime": job.runtime,
        "reference_kernels": job.reference_kernels,
        "threads": job.threads,
        "runs": job.runs,
        "warm_up": job.warm_up,
        "inputs": files,
        "cases": len(job.inputs[0]),
    }
    (folder / "job.json").write_text(json.dumps(words))


def read_answer(printed: str, *, machine: str) -> Answer | None:
    """Read what the script printed; ``None`` when it did not come to its answer.

    Raises:
        MissingDependency: The runtime is not installed there.
        IncompatibleBundle: The runtime does not load the model.
    """
    lines = printed.strip().splitlines()
    try:
        found = json.loads(lines[-1])
    except (IndexError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    if found.get("fault") == probe.NO_RUNTIME:
        raise MissingDependency(
            f"{machine} has no LiteRT runtime ({found['detail']})",
            remedy="there, run: pip install ai-edge-litert (on 32-bit Arm: tflite-runtime 'numpy<2')",
        )
    if found.get("fault") == probe.CANNOT_LOAD:
        raise IncompatibleBundle(
            f"the model does not load on {machine} ({found['detail']})",
            remedy="install a newer runtime there, or convert with a recipe for older ones",
        )
    outputs = tuple(_decoded(output) for output in found.pop("outputs"))
    return Answer(**{**found, "outputs": outputs, "times_us": tuple(found["times_us"])})


def died(machine: str, *, exit_code: int, said: str) -> ConversionError:
    """Return the error for a process that ended without an answer."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = f"; it last said: {lines[-1][:200]}" if lines else ""
    return ConversionError(
        f"the model's run on {machine} ended without an answer (exit code {exit_code}){last}",
        remedy="try another version of the runtime, or another recipe",
    )


def _decoded(found: dict[str, Any]) -> NDArray[Any]:
    flat = np.frombuffer(base64.b64decode(found["data"]), dtype=np.dtype(str(found["dtype"])))
    values: NDArray[Any] = flat.reshape(found["shape"])
    return values
