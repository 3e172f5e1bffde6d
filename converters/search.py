"""The choice of a recipe by measurement: the fastest that keeps the accuracy budget.

Only what runs on a CPU can be timed on a workstation. For a GPU or an Edge TPU the smallest that keeps the budget is
taken.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np

from converters.figures import losses
from converters.jobs import TRY, Progress, Trial
from converters.models import CompiledModel, VerifiedModel
from converters.optimizers.recipe import Recipe, load_recipe, recipe_names
from converters.verification import Measured
from converters.workshop import Told, Workshop
from edge_sdk.errors import ConversionError, MissingDependency, VerificationError
from edge_sdk.profiles import HardwareProfile

_ROUNDS = 15
_WINDOWS_IN_ROUND = 40
# Times closer than this are the same: what is smaller, or was tried before, is better then.
_AS_FAST = 1.05


def best_model(
    shop: Workshop, profile: HardwareProfile, *, crashed: Sequence[str], progress: Progress
) -> tuple[VerifiedModel, list[Trial]]:
    """Try every recipe that can work for a board, from cheap to costly, and return the best and what was tried.

    Raises:
        VerificationError: None kept the budget; says why, one by one.
    """
    recipes = [recipe for recipe in map(load_recipe, recipe_names()) if _possible(recipe, shop, profile)]
    kept: dict[str, VerifiedModel] = {}
    trials: list[Trial] = []
    for number, recipe in enumerate(recipes):
        told = _part(progress, f"{TRY}{recipe.name}", number, len(recipes))
        told(0.0)
        trial, made = _tried(shop, recipe, profile, crashed=crashed, told=told)
        trials.append(trial)
        if made:
            kept[recipe.name] = made
    if not kept:
        reasons = "; ".join(f"{trial.recipe}: {trial.reason}" for trial in trials)
        raise VerificationError(
            f"no recipe keeps the budget on {profile.name} ({reasons})",
            remedy="allow a larger --budget-points, or train a model that is less sensitive",
        )
    progress("measure latency", 1.0)
    times_us = latencies_us({name: model.compiled for name, model in kept.items()}, shop)
    timed = [dataclasses.replace(trial, latency_us=times_us.get(trial.recipe, 0.0)) for trial in trials]
    best = choose([trial for trial in timed if trial.recipe in kept], by_time=profile.runtime.backend == "litert")
    return kept[best.recipe], [dataclasses.replace(trial, chosen=trial.recipe == best.recipe) for trial in timed]


def choose(kept: Sequence[Trial], *, by_time: bool) -> Trial:
    """Return the fastest if times count; among those as fast, the smallest; among those as small, the first."""
    limit_us = min(trial.latency_us for trial in kept) * _AS_FAST if by_time else float("inf")
    return min((trial for trial in kept if trial.latency_us <= limit_us), key=lambda trial: trial.model_bytes)


def pareto(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that no other beats in size, latency and agreement at once."""

    def beaten(trial: Trial) -> bool:
        return any(
            other.model_bytes <= trial.model_bytes
            and other.latency_us <= trial.latency_us
            and other.agreement >= trial.agreement
            and (other.model_bytes, other.latency_us, other.agreement)
            != (trial.model_bytes, trial.latency_us, trial.agreement)
            for other in trials
            if other.latency_us
        )

    return [trial for trial in trials if trial.latency_us and not beaten(trial)]


def latencies_us(models: dict[str, CompiledModel], shop: Workshop) -> dict[str, float]:
    """Return the median time of one window of each on this machine, one thread, measured in turns."""
    inputs = shop.windows.evaluation.take(np.arange(min(_WINDOWS_IN_ROUND, len(shop.windows.evaluation))))
    count = len(next(iter(inputs.values())))
    rounds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(_ROUNDS):
        for name, model in models.items():
            began_ns = time.perf_counter_ns()
            model.predict(inputs)
            rounds[name].append((time.perf_counter_ns() - began_ns) / 1000 / count)
    return {name: float(np.median(times)) for name, times in rounds.items()}


def _part(progress: Progress, step: str, number: int, count: int) -> Told:
    return lambda done: progress(step, (number + done) / count)


def _possible(recipe: Recipe, shop: Workshop, profile: HardwareProfile) -> bool:
    """Leave out what lacks its windows, and what the board's compiler cannot take at all."""
    if recipe.needs_calibration and shop.windows.calibration is None:
        return False
    if recipe.training and (shop.windows.training is None or shop.source.trainable is None):
        return False
    if profile.runtime.backend == "edgetpu":
        return recipe.activations == "int8" and recipe.float_layers is None
    return True


def _tried(
    shop: Workshop, recipe: Recipe, profile: HardwareProfile, *, crashed: Sequence[str], told: Told
) -> tuple[Trial, VerifiedModel | None]:
    if recipe.name in crashed:
        reason = "native code died in this step"
        return Trial(profile=profile.slug, recipe=recipe.name, outcome="crashed", reason=reason), None
    try:
        measured = shop.measure(shop.compile(recipe, profile, progress=told))
    except MissingDependency:
        raise
    except ConversionError as error:
        return Trial(profile=profile.slug, recipe=recipe.name, outcome="refused", reason=error.problem), None
    trial = _kept(profile, recipe, measured)
    try:
        return trial, shop.judge(measured)
    except VerificationError as error:
        return dataclasses.replace(trial, outcome="over the budget", reason=error.problem), None


def _kept(profile: HardwareProfile, recipe: Recipe, measured: Measured) -> Trial:
    points, lost = max(((points, name) for points, _, name, _, _ in losses(measured.report)), default=(0.0, ""))
    return Trial(
        profile=profile.slug,
        recipe=recipe.name,
        outcome="kept the budget",
        model_bytes=len(measured.compiled.data),
        agreement=measured.report.agreement,
        lost_points=points,
        lost=lost,
    )
