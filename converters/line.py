"""The line from a model file to its bundles, as it runs in the child process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from converters.calibrated import with_temperature
from converters.compilers import compiler_for
from converters.importers import importer_for
from converters.jobs import AUTO, LOAD, READ, Conversion, Job, Progress, SealedBundle, Trial
from converters.models import VerifiedModel
from converters.optimizers.recipe import Recipe, load_recipe
from converters.report import Account, Seal, write_report
from converters.sealing import seal
from converters.search import best_model
from converters.window_sources import collect_windows
from converters.window_sources.raw import RawWindows
from converters.windows import Collected
from converters.workshop import Workshop
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError, StorageUnavailable
from edge_sdk.files import sha256_hex
from edge_sdk.profiles import HardwareProfile, load_profile
from edge_sdk.settings import load_toml
from edge_sdk.signing import fingerprint, load_private_key
from edge_sdk.windowing import check_features

_SUFFIX = ".edge"
_BEFORE, _AFTER = 0.35, 0.9  # the fractions of the whole at which converting begins and ends


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where what belongs to one board is written."""

    profile: HardwareProfile
    bundle: Path
    report: Path | None


def run_line(job: Job, folder: Path, progress: Progress) -> Conversion:
    """Take a job through every step. Nothing is written before all of it is proved.

    Raises:
        EdgeError: Whatever was wrong.
    """
    progress("check what is asked", 0.0)
    contract = _contract(job)
    check_features(contract.input)  # refuses what no device could give the model
    recipe = None if job.recipe == AUTO else load_recipe(job.recipe)
    importer, key, places = importer_for(job.model), load_private_key(job.key), _places(job, contract)
    _check_recipe(job, recipe)

    collected = _collected(job, contract, progress)
    windows = collected.prepared(contract)  # what is wrong with them is said before the model is loaded
    progress(LOAD, 0.15)
    source = importer(job.model, contract, folder)
    if source.contract != contract:  # the importer moved the model's first step in front of it
        windows = collected.prepared(source.contract)
    if windows.probabilities:
        source = with_temperature(source, windows.probabilities)
    progress("compare with the source", 0.3)
    shop = Workshop(
        source, windows, budget_points=job.budget_points, folder=folder, edgetpu_compiler=job.edgetpu_compiler
    )
    made, trials = _make(shop, places, recipe, job, progress)
    progress("seal", _AFTER)
    bundles = []
    for place, model in zip(places, made, strict=True):
        manifest = seal(model, place.bundle, key=key)
        data = place.bundle.read_bytes()
        facts = Seal(bundle_bytes=len(data), bundle_sha256=sha256_hex(data), signer=fingerprint(key.public_key()))
        if place.report:
            progress("report", _AFTER)
            tried = [trial for trial in trials if trial.profile == place.profile.slug]
            account = Account(
                model=model,
                manifest=manifest,
                evaluation=windows.evaluation,
                expected=shop.expected,
                seal=facts,
                trials=tried,
                remarks=(*source.remarks, *windows.remarks),
            )
            write_report(account, place.report)
        bundles.append(
            SealedBundle(
                profile=place.profile.slug,
                path=place.bundle,
                manifest=manifest,
                model_bytes=len(model.compiled.data),
                bundle_bytes=len(data),
                report=place.report,
            )
        )
    return Conversion(bundles=tuple(bundles), trials=tuple(trials), remarks=(*source.remarks, *windows.remarks))


def _contract(job: Job) -> ModelContract:
    if isinstance(job.contract, ModelContract):
        return job.contract
    return load_toml(job.contract, ModelContract, what="model contract")


def _make(
    shop: Workshop, places: list[Place], recipe: Recipe | None, job: Job, progress: Progress
) -> tuple[list[VerifiedModel], list[Trial]]:
    made, trials = [], []
    share = (_AFTER - _BEFORE) / len(places)
    for number, place in enumerate(places):

        def tell(step: str, done: float, number: int = number) -> None:
            progress(step, _BEFORE + share * (number + done))

        if recipe:
            step = f"convert for {place.profile.slug}"
            tell(step, 0.0)
            made.append(shop.make(recipe, place.profile, progress=partial(tell, step)))
        else:
            best, tried = best_model(shop, place.profile, crashed=job.crashed, progress=tell)
            made.append(best)
            trials += tried
    return made, trials


def _check_recipe(job: Job, recipe: Recipe | None) -> None:
    """Refuse a recipe that lacks its windows before any of the work is done."""
    if recipe and recipe.needs_calibration and job.calibration is None:
        raise ConversionError(f"recipe '{recipe.name}' needs calibration windows", remedy="give --calibration")
    if recipe and recipe.training and job.training is None:
        raise ConversionError(f"recipe '{recipe.name}' trains the model again", remedy="give --training")


def _collected(job: Job, contract: ModelContract, progress: Progress) -> Collected:
    begin, share = 0.02, 0.04

    def collect(source: str, begin: float, *, labelled: bool) -> RawWindows:
        progress(READ, begin)
        return collect_windows(
            source, contract, labelled=labelled, progress=lambda done: progress(READ, begin + share * done)
        )

    return Collected(
        evaluation=collect(job.evaluation, begin, labelled=True),
        calibration=collect(job.calibration, begin + share, labelled=False) if job.calibration else None,
        training=collect(job.training, begin + 2 * share, labelled=False) if job.training else None,
        probabilities=collect(job.probabilities, begin + 2 * share, labelled=True) if job.probabilities else None,
    )


def _places(job: Job, contract: ModelContract) -> list[Place]:
    """Return where everything goes, having refused what cannot be written now rather than after the work."""
    if len(set(job.profiles)) != len(job.profiles) or not job.profiles:
        raise ConversionError("the same profile is given twice, or none is", remedy="give each board once")
    alone = len(job.profiles) == 1
    into_file = alone and (job.out.suffix == _SUFFIX and not job.out.is_dir())
    places = []
    for slug in job.profiles:
        bundle = job.out if into_file else job.out / f"{contract.id}-{contract.version}-{slug}{_SUFFIX}"
        report = job.report if alone or job.report is None else job.report.with_stem(f"{job.report.stem}-{slug}")
        profile = load_profile(slug)
        compiler_for(profile, edgetpu_compiler=job.edgetpu_compiler)  # is refused before the work if it cannot compile
        places.append(Place(profile=profile, bundle=bundle, report=report))
        for path in (bundle, report):
            _check_writable(path)
    return places


def _check_writable(path: Path | None) -> None:
    if path is None:
        return
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise StorageUnavailable(f"{path} cannot be written", remedy="check the path and the folder's permissions")
