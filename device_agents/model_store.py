"""A model that may see a patient: genuine, for this board, and giving the answers its maker saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from device_agents.choose import Choice, choose, machine, trial_windows, ways
from device_agents.choose_kept import ChoiceKey, KeptChoices
from device_agents.genuine import check_in_child
from device_agents.runtimes import installed, load_runtime
from device_agents.runtimes.base import Runtime, Way
from edge_sdk.bundle import Bundle, open_checked_bundle
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


def ready_model(  # noqa: PLR0913  # the bundle, and what its maker leaves to the machine
    path: Path,
    *,
    trusted_keys: Sequence[Path],
    hardware: str,
    backend: str = "auto",
    threads: int | None = 1,
    engines: Path | None = None,
    choices: Path | None = None,
) -> ReadyModel:
    """Open a bundle, load what was compiled for this board, and run its self-test.

    Args:
        path: The bundle.
        trusted_keys: Public keys whose bundles may run here.
        hardware: Slug of this board's hardware profile.
        backend: See `load_runtime`.
        threads: For one inference; ``None`` for as many as prove fastest, where that is measured.
        engines: See `load_runtime`.
        choices: Folder where it is kept how models run fastest here; ``None`` to run them the plain way.

    Raises:
        ConfigError: A file is not there.
        UntrustedBundle: The bundle is not exactly what a trusted key signed.
        IncompatibleBundle: It is for other hardware, needs a newer runtime, or fails its self-test here.
        MissingDependency: No runtime is installed.
        SignalError: It takes features that this version of the SDK does not know.
    """
    bundle = genuine_bundle(path, trusted_keys=trusted_keys)
    manifest = bundle.manifest
    artifact = manifest.artifact_for(hardware)
    load = loader(bundle, artifact, backend=backend, engines=engines)
    plain = Way(threads=threads or 1)
    runtime = load(plain)
    _check_contracts(manifest, artifact)
    test, name = bundle.self_test, f"{manifest.model_id} {manifest.model_version}"
    run_self_test(runtime, test, name=name)
    if choices and artifact.backend == "litert":
        way = _choice(bundle, load, backend=backend, threads=threads, kept=KeptChoices(choices)).way
        if way != plain:
            runtime = load(way)
            run_self_test(runtime, test, name=name)
    ref = ModelRef(
        id=manifest.model_id,
        version=manifest.model_version,
        bundle_sha256=bundle.sha256,
        runtime=f"{runtime.name} {runtime.version}",
    )
    return ReadyModel(manifest=manifest, runtime=runtime, ref=ref, self_test_cases=len(test.cases))


def genuine_bundle(path: Path, *, trusted_keys: Sequence[Path]) -> Bundle:
    """Open a bundle that one of these keys signed.

    Raises:
        ConfigError: A file is not there.
        UntrustedBundle: The bundle is not exactly what a trusted key signed.
    """
    return open_checked_bundle(path, check=partial(check_in_child, trusted_keys=trusted_keys))


def loader(
    bundle: Bundle, artifact: Artifact, *, backend: str = "auto", engines: Path | None = None
) -> Callable[[Way], Runtime]:
    """Return what loads a bundle's model to run a certain way; see `load_runtime`."""

    def load(way: Way) -> Runtime:
        model = bundle.members[artifact.path]
        return load_runtime(model, artifact, backend=backend, threads=way.threads, batch=way.batch, engines=engines)

    return load


def _choice(
    bundle: Bundle, load: Callable[[Way], Runtime], *, backend: str, threads: int | None, kept: KeptChoices
) -> Choice:
    library, test, tried = installed(backend), bundle.self_test, ways(threads=threads)
    key = ChoiceKey(
        bundle_sha256=bundle.sha256,
        runtime=f"{library.name} {library.version}",
        machine=machine(),
        tried=repr(tried),
    )
    return kept.get(key, lambda: choose(load, partial(trial_windows, test), ways=tried))


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
