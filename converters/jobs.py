"""What is asked of a conversion, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_sdk.contracts import ModelContract
from edge_sdk.manifest import Manifest

AUTO = "auto"
READ, LOAD = "read the windows", "load the model"  # steps that run what the user brought
TRY = "try "  # begins the name of a step that tries a recipe
# Told the step that begins, and which fraction of the whole is done.
Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything a conversion needs; every path is absolute or relative to the current folder.

    Attributes:
        model: What was trained.
        contract: What it reads and means: the contract, or its TOML file.
        profiles: Boards; one bundle is made for each.
        recipe: A recipe's name, the path of one, or ``auto``: the fastest that keeps the budget.
        evaluation: Held-out windows with their truth: a file, a folder of records, or ``module:function``.
        calibration: Windows for ranges of activations, likewise; ``None`` if no recipe needs them.
        training: Windows to train again on, likewise; ``None`` if no recipe does.
        probabilities: Held-out labelled windows to fit the temperature on, likewise; ``None`` to leave the contract's.
        budget_points: Loss allowed in any figure, percentage points.
        key: The private key that seals.
        out: The bundle, or a folder where several profiles are given.
        report: The page about it, HTML; with several profiles one for each, named after it. ``None`` for none.
        edgetpu_compiler: Where Google's compiler is; ``None`` to look for it on PATH.
        crashed: Recipes that took the process down before, in order not to try them again.
    """

    model: Path
    contract: Path | ModelContract
    profiles: tuple[str, ...]
    recipe: str
    evaluation: str
    calibration: str | None = None
    training: str | None = None
    probabilities: str | None = None
    budget_points: float = 0.5
    key: Path
    out: Path
    report: Path | None = None
    edgetpu_compiler: Path | None = None
    crashed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of one recipe for one board.

    Attributes:
        profile: The board.
        recipe: The recipe.
        outcome: What came of it.
        reason: Why it was not kept; empty if it was.
        model_bytes: Size of the compiled model; 0 if there is none.
        latency_us: Median time of one window on this machine, one thread; 0 if not measured.
        agreement: Share of windows decided as the float model does; 0 if not measured.
        lost_points: Largest loss of a figure that is judged.
        lost: That figure.
        chosen: Whether it is in the bundle.
    """

    profile: str
    recipe: str
    outcome: Literal["kept the budget", "over the budget", "refused", "crashed"]
    reason: str = ""
    model_bytes: int = 0
    latency_us: float = 0.0
    agreement: float = 0.0
    lost_points: float = 0.0
    lost: str = ""
    chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class SealedBundle:
    """One bundle that was written, and its page if one was asked for."""

    profile: str
    path: Path
    manifest: Manifest
    model_bytes: int
    bundle_bytes: int
    report: Path | None


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What came out: a bundle for each profile, and what was tried."""

    bundles: tuple[SealedBundle, ...]
    trials: tuple[Trial, ...]
    remarks: tuple[str, ...] = ()


def as_figures(conversion: Conversion) -> dict[str, Any]:
    """Return a conversion's figures under the names that are promised to scripts: the first bundle's on top."""
    first, *_ = bundles = [_bundle_figures(sealed) for sealed in conversion.bundles]
    return {**first, "bundles": bundles, "trials": [vars(trial) for trial in conversion.trials]}


def _bundle_figures(sealed: SealedBundle) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415  # only to make plain values of it

    report = msgspec.to_builtins(sealed.manifest.verification)
    figures = {key: value for key, value in report.items() if key not in {"classes", "quantities"}}
    return {
        "profile": sealed.profile,
        "bundle": str(sealed.path),
        "recipe": sealed.manifest.recipe,
        "model_bytes": sealed.model_bytes,
        "bundle_bytes": sealed.bundle_bytes,
        **figures,
        "classes": {figures.pop("label"): figures for figures in report["classes"]},
        "quantities": {figures.pop("name"): figures for figures in report["quantities"]},
    }
