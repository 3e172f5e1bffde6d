from __future__ import annotations

import msgspec
import pytest

from converters.figures import MINIMUM_WINDOWS
from converters.optimizers.recipe import load_recipe, recipe_names
from edge_sdk import bundle, codes, contracts, manifest, selftest, signals, tensors
from tests.docs.test_tables import DOCS, keys

FORMAT: tuple[type[msgspec.Struct], ...] = (
    manifest.Manifest,
    manifest.Artifact,
    tensors.TensorSpec,
    manifest.FileEntry,
    manifest.VerificationReport,
    manifest.ClassFigures,
    manifest.QuantityFigures,
    manifest.GroupFigures,
    manifest.LayerFigures,
    manifest.Provenance,
    manifest.Component,
    selftest.SelfTest,
    selftest.Case,
    selftest.Array,
)
CONTRACT: dict[str, type[msgspec.Struct]] = {
    "The top": contracts.ModelContract,
    "input": contracts.InputContract,
    "input.signal": signals.SignalFormat,
    "input.windows with type beat": contracts.BeatWindows,
    "input.windows with type fixed": contracts.FixedWindows,
    "input.inputs": contracts.ModelInput,
    "output": contracts.OutputContract,
    "output.code": codes.Code,
    "output.labels": contracts.Label,
    "output.quantities": contracts.OutputQuantity,
}
STEPS = (contracts.Scale, contracts.Standardize, contracts.ZScore, contracts.Clip)


@pytest.mark.parametrize("struct", FORMAT, ids=lambda struct: struct.__name__)
def test_the_bundle_format_lists_every_key(struct: type[msgspec.Struct]) -> None:
    assert keys("bundle-format.md", struct.__name__) == list(struct.__struct_fields__)


@pytest.mark.parametrize("heading", CONTRACT)
def test_the_contract_is_explained_key_by_key(heading: str) -> None:
    assert keys("converting.md", heading) == list(CONTRACT[heading].__struct_fields__)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_every_preprocessing_step_is_explained(step: type[msgspec.Struct]) -> None:
    constants = ", ".join(f"`{name}`" for name in step.__struct_fields__)

    assert f"| `{step.__struct_config__.tag}` | {constants} |" in (DOCS / "converting.md").read_text()


def test_every_recipe_is_explained() -> None:
    assert keys("converting.md", "Recipes") == list(recipe_names())
    table = (DOCS / "converting.md").read_text().split("## Recipes")[1].splitlines()
    for recipe in map(load_recipe, recipe_names()):
        (line,) = (line for line in table if line.startswith(f"| `{recipe.name}` |"))
        assert line.endswith("| yes |" if recipe.needs_calibration else "| no |")


def test_the_limits_are_those_of_the_code() -> None:
    limits = (DOCS / "bundle-format.md").read_text().split("## Limits")[1].split("## ")[0]
    mebibyte = 1024 * 1024

    for figure in (
        f"{bundle.MAX_BUNDLE_BYTES // mebibyte} MiB",
        f"{bundle.MAX_MANIFEST_BYTES // mebibyte} MiB",
        f"| members | {bundle.MAX_MEMBERS} |",
        f"{bundle._MAX_DIRECTORY_BYTES // 1024} KiB",
    ):
        assert figure in limits
    assert f"fewer than {MINIMUM_WINDOWS} evaluation windows" in (DOCS / "converting.md").read_text()
