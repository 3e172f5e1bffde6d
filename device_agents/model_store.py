"""A model that may see a patient: genuine, for this board, and giving the answers its maker saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from device_agents.genuine import check_in_child
from device_agents.runtimes import load_runtime
from device_agents.runtimes.base import Runtime
from edge_sdk.bundle import open_checked_bundle
from edge_sdk.errors import IncompatibleBundle
from edge_sdk.manifest import Artifact, Manifest
from edge_sdk.observation import ModelRef
from edge_sdk.selftest import SelfTest
from edge_sdk.windowing import check_features


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyModel:
    """A model that passed its self-test on this machine.

    Attributes:
        manifest: What its bundle says.
        runtime: The loaded model.
        ref: How observations name it.
        self_test_cases: How many cases it passed.
    """

    manifest: Manifest
    runtime: Runtime
    ref: ModelRef
    self_test_cases: int


def ready_model(
    path: Path,
    *,
    trusted_keys: Sequence[Path],
    hardware: str,
    backend: str = "auto",
    threads: int = 1,
    engines: Path | None = None,
) -> ReadyModel:
    """Open a bundle, load what was compiled for this board, and run its self-test.

    Raises:
        ConfigError: A file is not there.
        UntrustedBundle: The bundle is not exactly what a trusted key signed.
        IncompatibleBundle: It is for other hardware, needs a newer runtime, or fails its self-test here.
        MissingDependency: No runtime is installed.
        SignalError: It takes features that this version of the SDK does not know.
    """
    bundle = open_checked_bundle(path, check=partial(check_in_child, trusted_keys=trusted_keys))
    manifest = bundle.manifest
    artifact = manifest.artifact_for(hardware)
    runtime = load_runtime(bundle.members[artifact.path], artifact, backend=backend, threads=threads, engines=engines)
    _check_contracts(manifest, artifact)
    test = bundle.self_test
    run_self_test(runtime, test, name=f"{manifest.model_id} {manifest.model_version}")
    ref = ModelRef(
        id=manifest.model_id,
        version=manifest.model_version,
        bundle_sha256=bundle.sha256,
        runtime=f"{runtime.name} {runtime.version}",
    )
    return ReadyModel(manifest=manifest, runtime=runtime, ref=ref, self_test_cases=len(test.cases))


def _check_contracts(manifest: Manifest, artifact: Artifact) -> None:
    reads = {wanted.name: wanted.shape for wanted in manifest.input.inputs}
    reads[manifest.output.name] = (manifest.output.width,)
    has = {spec.name: spec.shape[1:] for spec in (*artifact.inputs, *artifact.outputs)}
    if has != reads:
        raise IncompatibleBundle(
            f"the model's tensors are {has}, and its contracts say {reads}",
            remedy="correct the contract, then convert and seal it again",
        )
    check_features(manifest.input)


def run_self_test(runtime: Runtime, test: SelfTest, *, name: str) -> None:
    """Return if every case gives the signed answer within the signed tolerance.

    Raises:
        IncompatibleBundle: There is no case, or an answer differs.
    """
    if not test.cases:
        raise IncompatibleBundle(f"model {name} has an empty self-test", remedy="seal it again with real windows")
    for number, case in enumerate(test.cases, start=1):
        answer = runtime.infer({input_name: array.numpy() for input_name, array in case.inputs.items()})
        expected = case.expected.numpy().reshape(answer.shape)
        error = float(np.max(np.abs(answer - expected)))
        if not error <= test.tolerance:  # NaN fails too
            raise IncompatibleBundle(
                f"model {name} fails its self-test on {runtime.name} {runtime.version}: "
                f"case {number} differs by {error:.3g}, allowed {test.tolerance:.3g}",
                remedy="do not use it here; convert it again, or use the runtime it was verified with",
            )
