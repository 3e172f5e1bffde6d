from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.limits import AGENT_BYTES, Needs, Step, check_limits, flatbuffer_needs, onnx_needs, peak_bytes
from edge_sdk.errors import ConversionError
from edge_sdk.profiles import load_profile, profile_slugs
from tests.device.onnx_models import INPUTS, OUTPUT, onnx_model

DATA = Path(__file__).parents[1] / "device" / "data"
SMALL = Needs(file_bytes=1000, working_bytes=1000, dtypes=frozenset())


def needs(**changes: object) -> Needs:
    return Needs(**{"file_bytes": 1000, "working_bytes": 1000, "dtypes": frozenset(), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("slug", profile_slugs())
class TestEveryBoard:
    def test_takes_a_small_model_in_a_type_it_is_fast_with(self, slug: str):
        board = load_profile(slug)
        assert check_limits(needs(dtypes=frozenset(board.runtime.fast_dtypes[:1])), board) == ()

    def test_refuses_a_file_as_large_as_its_memory(self, slug: str):
        board = load_profile(slug)
        with pytest.raises(ConversionError, match="to spare") as refusal:
            check_limits(needs(file_bytes=board.memory_bytes), board)
        assert "int8" in refusal.value.remedy

    def test_refuses_activations_as_large_as_its_memory(self, slug: str):
        board = load_profile(slug)
        with pytest.raises(ConversionError, match="for activations"):
            check_limits(needs(working_bytes=board.memory_bytes), board)

    def test_says_which_types_it_takes_when_it_refuses_one(self, slug: str):
        board = load_profile(slug)
        refused = {"float32", "float16", "int8", "int16"} - set(board.runtime.dtypes)
        for dtype in refused:
            with pytest.raises(ConversionError, match=dtype) as refusal:
                check_limits(needs(dtypes=frozenset({dtype})), board)
            assert all(known in refusal.value.remedy for known in board.runtime.dtypes)

    def test_warns_of_types_it_is_slow_with(self, slug: str):
        board = load_profile(slug)
        slow = set(board.runtime.dtypes) - set(board.runtime.fast_dtypes)
        warned = check_limits(needs(dtypes=frozenset(slow)), board)
        assert len(warned) == len(slow)
        assert all(board.name in line for line in warned)


def test_index_and_truth_tensors_are_no_arithmetic():
    assert check_limits(needs(dtypes=frozenset({"int32", "int64", "bool"})), load_profile("coral-dev-board")) == ()


def test_the_agent_itself_is_counted():
    board = load_profile("raspberry-pi-zero-2-w")
    bare = msgspec.structs.replace(board, memory_bytes=AGENT_BYTES)
    with pytest.raises(ConversionError, match="with the agent"):
        check_limits(SMALL, bare)


def test_why_int16_is_slow_is_said():
    (warned,) = check_limits(needs(dtypes=frozenset({"int16"})), load_profile("raspberry-pi-5"))
    assert "no accelerated kernels" in warned


SIZES = {"in": 10, "a": 100, "b": 1, "out": 2}
CHAIN = (Step(reads=("in",), gives=("a",)), Step(reads=("a",), gives=("b",)), Step(reads=("b",), gives=("out",)))


class TestPeak:
    def test_what_is_no_longer_read_is_free_again(self):
        assert peak_bytes(CHAIN, SIZES, kept=["out"]) == 10 + 100

    def test_what_is_read_again_later_stays(self):
        skip = (*CHAIN[:2], Step(reads=("b", "in", "a"), gives=("out",)))
        assert peak_bytes(skip, SIZES, kept=["out"]) == sum(SIZES.values())

    def test_weights_count_nothing(self):
        steps = (Step(reads=("in", "weights"), gives=("out",)),)
        assert peak_bytes(steps, SIZES) == 10 + 2

    @given(st.lists(st.integers(1, 1000), min_size=1, max_size=12))
    def test_it_lies_between_the_largest_step_and_everything(self, sizes: list[int]):
        named = {str(index): size for index, size in enumerate(sizes)}
        steps = [Step(reads=(str(index - 1),), gives=(str(index),)) for index in range(1, len(sizes))]
        peak = peak_bytes(steps, named)
        largest = max((a + b for a, b in itertools.pairwise(sizes)), default=0)
        assert largest <= peak <= sum(sizes)


class TestReading:
    def test_an_integer_flatbuffer_has_no_floats(self):
        found = flatbuffer_needs((DATA / "beats_int8.tflite").read_bytes())
        assert "int8" in found.dtypes
        assert "float32" not in found.dtypes

    def test_integers_need_less_than_floats(self):
        integer, real = (flatbuffer_needs((DATA / f"beats_{kind}.tflite").read_bytes()) for kind in ("int8", "float"))
        assert 0 < integer.working_bytes < real.working_bytes
        assert integer.file_bytes < real.file_bytes

    def test_an_onnx_model_holds_at_least_its_inputs(self):
        data = onnx_model()
        found = onnx_needs(data)
        least = 4 * sum(shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in INPUTS.values())
        assert found.working_bytes >= least
        assert found.working_bytes < 4 * least + 4 * OUTPUT[1]
        assert found.file_bytes == len(data)
        assert found.dtypes == {"float32", "int64"}
