from __future__ import annotations

import re
from itertools import product

import pytest

from converters.optimizers.recipe import recipe_names
from tests.conversion.matrix.architectures import keras_models
from tests.conversion.matrix.cells import Cell, cells, formats
from tests.conversion.matrix.one import in_a_process
from tests.conversion.matrix.page import PROFILES, mark, page, shown
from tests.conversion.matrix.signal import real_ecg

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
# Quick ones: what is not here, 'make matrix' runs.
ARCHITECTURES = ("cnn-1d", "attention", "gru")
RECIPES = ("float16", "dynamic-int8", "int8", "int8-mixed")


def compare_with_page(found: list[Cell]) -> None:
    for cell in found:
        said = shown(cell.profile)[cell.source, cell.architecture, cell.recipe]
        found_here = mark(cell, {}) if cell.done else cell.outcome
        forecasts = [re.fullmatch(r"(\d+) of (\d+)", words) for words in (said, found_here)]
        if all(forecasts):
            (mapped, operators), (mapped_here, operators_here) = ((int(f[1]), int(f[2])) for f in forecasts if f)
            assert mapped_here == mapped, cell
            # TensorFlow's quantizer rescales 1 % more or fewer tensors of an unrolled loop from run to run.
            assert operators_here == pytest.approx(operators, rel=0.02), cell
        else:
            assert said == found_here, cell


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_converts_from_keras_is_what_the_page_says(architecture: str) -> None:
    found = list(cells("keras", architecture, places=product(RECIPES, PROFILES), samples=real_ecg()))

    assert len(found) == len(RECIPES) * len(PROFILES)
    compare_with_page(found)


@pytest.mark.parametrize("source", sorted(set(formats()) - {"keras"}))
def test_what_converts_from_other_formats_is_what_the_page_says(source: str) -> None:
    found = list(cells(source, "cnn-1d", places=product(["int8"], PROFILES), samples=real_ecg()))

    assert any(cell.done for cell in found)
    compare_with_page(found)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_page_is_true() -> None:
    for source in formats():
        for architecture in keras_models():
            compare_with_page(in_a_process(source, architecture, recipes=recipe_names(), profiles=PROFILES))


def test_every_cell_of_the_page_is_done_or_refused_for_a_reason() -> None:
    for slug in PROFILES:
        said = shown(slug)
        assert len(said) == len(formats()) * len(keras_models()) * len(recipe_names())
        for place, words in said.items():
            assert words == "✓" or re.fullmatch(r"\d+ of \d+", words) or len(words.split()) > 3, place


def test_a_page_gives_back_what_it_was_made_of() -> None:
    cell = Cell(
        source="keras", architecture="gru", recipe="int8", profile="raspberry-pi-4b", outcome="too slow", done=False
    )

    assert "| a | too slow |" in page([cell])
