"""What every runtime must do. Also a program, to run the checklist where a runtime is installed and pytest is not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from device_agents.model_store import run_self_test
from device_agents.runtimes import load_runtime
from device_agents.runtimes.base import Runtime
from edge_sdk.bundle import Bundle, open_bundle
from edge_sdk.errors import IncompatibleBundle
from edge_sdk.manifest import Artifact
from edge_sdk.signing import load_public_key
from edge_sdk.tensors import FloatArray, quantize


@dataclass(frozen=True, kw_only=True)
class RuntimeUnderTest:
    """A runtime by its name in the configuration, and a bundle for it to run."""

    backend: str
    bundle: Bundle

    @property
    def artifact(self) -> Artifact:
        return self.bundle.manifest.artifacts[0]

    @property
    def inputs(self) -> list[dict[str, FloatArray]]:
        cases = self.bundle.self_test.cases
        return [{name: array.numpy() for name, array in case.inputs.items()} for case in cases]

    def load(self, model: bytes | None = None, **changes: Any) -> Runtime:
        artifact = msgspec.structs.replace(self.artifact, **changes)
        content = self.bundle.members[self.artifact.path] if model is None else model
        return load_runtime(content, artifact, backend=self.backend, threads=1)


def gives_the_answers_its_maker_saw(tested: RuntimeUnderTest) -> None:
    run_self_test(tested.load(), tested.bundle.self_test, name="checked")


def answers_in_real_values_without_a_batch_axis(tested: RuntimeUnderTest) -> None:
    answer = tested.load().infer(tested.inputs[0])
    assert answer.dtype == np.float32
    assert answer.shape == tested.artifact.outputs[0].shape[1:]


def answers_many_windows_as_it_answers_each(tested: RuntimeUnderTest) -> None:
    runtime, names = tested.load(), list(tested.inputs[0])
    windows = [*tested.inputs, *reversed(tested.inputs)] * 5
    together = runtime.infer_batch({name: np.stack([window[name] for window in windows]) for name in names})
    assert together.dtype == np.float32
    assert together.tobytes() == np.stack([runtime.infer(window) for window in windows]).tobytes()


def answers_no_window_at_all(tested: RuntimeUnderTest) -> None:
    none = {name: values[np.newaxis][:0] for name, values in tested.inputs[0].items()}
    assert tested.load().infer_batch(none).shape == (0, *tested.artifact.outputs[0].shape[1:])


def answers_nothing_where_a_value_is_missing_and_the_others_all_the_same(tested: RuntimeUnderTest) -> None:
    runtime, (one, other, *_) = tested.load(), tested.inputs
    for spoils in (np.nan, np.inf, -np.inf):
        spoiled = {name: values.copy() for name, values in one.items()}
        next(iter(spoiled.values())).flat[-1] = spoils
        outputs = runtime.infer_batch({name: np.stack([one[name], spoiled[name], other[name]]) for name in one})
        assert np.isnan(outputs[1]).all()
        assert outputs[::2].tobytes() == np.stack([runtime.infer(one), runtime.infer(other)]).tobytes()
        assert np.isnan(runtime.infer(spoiled)).all()


def answers_alike_whatever_it_was_asked_before(tested: RuntimeUnderTest) -> None:
    runtime = tested.load()
    first = [runtime.infer(inputs).tobytes() for inputs in tested.inputs]
    again = [runtime.infer(inputs).tobytes() for inputs in reversed(tested.inputs)]
    assert first == again[::-1]


def leaves_its_inputs_and_its_earlier_answers_alone(tested: RuntimeUnderTest) -> None:
    runtime, (one, other, *_) = tested.load(), tested.inputs
    given = {name: values.copy() for name, values in one.items()}
    answer = runtime.infer(given)
    kept = answer.copy()
    runtime.infer(other)
    np.testing.assert_array_equal(answer, kept)
    for name, values in given.items():
        np.testing.assert_array_equal(values, one[name])


def says_what_it_is(tested: RuntimeUnderTest) -> None:
    runtime = tested.load()
    assert runtime.name == tested.backend
    assert runtime.version[0].isdigit()


def refuses_what_is_no_model(tested: RuntimeUnderTest) -> None:
    # A cut-off model is not tried: it crashes tflite-runtime. It cannot come here, since its digest is checked before.
    for spoiled in (b"", b"not a model"):
        refused(lambda spoiled=spoiled: tested.load(model=spoiled), saying="cannot load the model")


def refuses_a_model_that_is_not_what_its_manifest_says(tested: RuntimeUnderTest) -> None:
    (output,) = tested.artifact.outputs
    for wrong in ({"shape": (1, 99)}, {"dtype": "int16"}):
        outputs = (msgspec.structs.replace(output, **wrong),)
        refused(lambda outputs=outputs: tested.load(outputs=outputs), saying="its manifest says")


def refuses_a_model_that_needs_a_newer_runtime(tested: RuntimeUnderTest) -> None:
    refused(lambda: tested.load(minimum_runtime="99.0.0"), saying="needs LiteRT 99.0.0 or newer")


def refused(act: Callable[[], object], *, saying: str) -> None:
    error = None
    try:
        act()
    except IncompatibleBundle as raised:
        error = raised
    assert error is not None, "it was not refused"
    assert saying in error.problem, error.problem
    assert error.remedy


CHECKS = (
    gives_the_answers_its_maker_saw,
    answers_in_real_values_without_a_batch_axis,
    answers_many_windows_as_it_answers_each,
    answers_no_window_at_all,
    answers_nothing_where_a_value_is_missing_and_the_others_all_the_same,
    answers_alike_whatever_it_was_asked_before,
    leaves_its_inputs_and_its_earlier_answers_alone,
    says_what_it_is,
    refuses_what_is_no_model,
    refuses_a_model_that_is_not_what_its_manifest_says,
    refuses_a_model_that_needs_a_newer_runtime,
)


def opened(backend: str, path: Path, trusted_key: Path) -> RuntimeUnderTest:
    return RuntimeUnderTest(backend=backend, bundle=open_bundle(path, trusted=[load_public_key(trusted_key)]))


def results(tested: RuntimeUnderTest) -> dict[str, Any]:
    """Every check's fault, empty when it passed; what the model was given, as it stores it; and its answers."""
    runtime, specs = tested.load(), tested.artifact.inputs
    given = [quantize(inputs[spec.name], spec).tobytes().hex() for inputs in tested.inputs for spec in specs]
    answers = [runtime.infer(inputs).tolist() for inputs in tested.inputs]
    return {"given": given, "answers": answers, "faults": {check.__name__: fault(check, tested) for check in CHECKS}}


def fault(check: Callable[[RuntimeUnderTest], None], tested: RuntimeUnderTest) -> str:
    try:
        check(tested)
    except Exception as error:  # noqa: BLE001  # whatever it is, the test that started us reports it
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    backend, *paths = sys.argv[1:]
    pairs = [Path(path) for path in paths]
    found = [results(opened(backend, path, key)) for path, key in zip(pairs[::2], pairs[1::2], strict=True)]
    sys.stdout.write(json.dumps(found))
