"""Numbers as they are kept: strips of samples, quantized tensors, self-tests."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_sdk.errors import IncompatibleBundle, ManifestError
from edge_sdk.observation import Classification, Quantity, SampledData
from edge_sdk.selftest import Array, Case, SelfTest, decode_self_test, encode_self_test
from edge_sdk.tensors import FloatArray, TensorSpec, dequantize, quantize

FACTOR = 0.001
samples = hnp.arrays(np.float32, st.integers(0, 40), elements=st.floats(-32, 32, width=32) | st.just(float("nan")))
any_floats = hnp.arrays(np.float32, st.integers(0, 40), elements=st.floats(width=32))
scales = st.floats(1e-6, 1e3)


def strip(values: FloatArray) -> SampledData:
    return SampledData.from_values(values, unit="mV", sample_rate_hz=360.0, factor=FACTOR)


class TestStrips:
    @given(samples)
    def test_samples_come_back_within_half_a_step_and_missing_ones_missing(self, values: FloatArray):
        back = strip(values).values()
        assert back.dtype == np.float32
        np.testing.assert_allclose(back, values, atol=FACTOR / 2 * 1.001 + 32 * 2**-23, equal_nan=True)

    @given(any_floats)
    def test_no_measured_sample_is_taken_for_a_missing_one(self, values: FloatArray):
        assert np.array_equal(np.isnan(strip(values).values()), ~np.isfinite(values))

    @given(samples)
    def test_storing_what_was_stored_changes_nothing(self, values: FloatArray):
        once = strip(values)
        assert strip(once.values()) == once

    def test_what_does_not_fit_saturates(self):
        back = strip(np.array([1e30, -1e30, 3.3e38], np.float32)).values()
        np.testing.assert_allclose(back, [32.767, -32.767, 32.767], rtol=1e-6)

    @pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
    def test_a_strip_needs_a_positive_factor(self, factor: float):
        with pytest.raises(ValueError, match="positive rate and factor"):
            SampledData("mV", 360.0, factor, b"")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_say_is_no_value(value: float):
    with pytest.raises(ValueError, match="absent_reason"):
        Quantity(value, "mV")
    with pytest.raises(ValueError, match="finite"):
        Classification("N", {"N": value})


class TestQuantization:
    @given(st.sampled_from(["int8", "uint8", "int16"]), scales, st.data())
    def test_the_error_inside_the_range_is_at_most_half_a_step(self, dtype: str, scale: float, data: st.DataObject):
        limits = np.iinfo(dtype)
        zero_point = data.draw(st.integers(limits.min, limits.max))
        spec = TensorSpec(name="x", shape=(1,), dtype=dtype, scale=scale, zero_point=zero_point)
        low, high = ((limit - zero_point) * scale for limit in (limits.min, limits.max))
        values = np.array(data.draw(st.lists(st.floats(low, high), min_size=1, max_size=20)), np.float32)
        error = np.abs(dequantize(quantize(values, spec), spec) - values)
        rounding = 4 * np.finfo(np.float32).eps * np.abs(values)
        assert (error <= scale / 2 * (1 + 1e-6) + rounding).all()

    @given(scales, st.integers(-128, 127), hnp.arrays(np.int8, 10))
    def test_stored_values_survive_the_way_there_and_back(self, scale: float, zero_point: int, stored: np.ndarray):
        spec = TensorSpec(name="x", shape=(10,), dtype="int8", scale=scale, zero_point=zero_point)
        np.testing.assert_array_equal(quantize(dequantize(stored, spec), spec), stored)

    def test_what_is_out_of_range_saturates(self):
        spec = TensorSpec(name="x", shape=(4,), dtype="int8", scale=1e-3, zero_point=5)
        stored = quantize(np.array([-1e3, 1e3, -3e38, 3e38], np.float32), spec)
        assert stored.tolist() == [-128, 127, -128, 127]
        assert stored.dtype == np.int8

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_missing_value_is_never_quantized(self, value: float):
        spec = TensorSpec(name="ecg", shape=(1,), dtype="int8", scale=0.1)
        with pytest.raises(IncompatibleBundle, match="'ecg' has missing or infinite values"):
            quantize(np.array([value], np.float32), spec)

    @given(any_floats)
    def test_a_float_tensor_is_stored_as_it_is(self, values: FloatArray):
        spec = TensorSpec(name="x", shape=values.shape, dtype="float32")
        np.testing.assert_array_equal(dequantize(quantize(values, spec), spec), values)


class TestSelfTests:
    @given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_side=5), elements=st.floats(width=32)))
    def test_an_array_comes_back_as_it_was(self, values: FloatArray):
        test = SelfTest(cases=(Case(inputs={"x": Array.of(values)}, expected=Array.of(values)),), tolerance=0.1)
        read = decode_self_test(encode_self_test(test))
        assert read == test
        np.testing.assert_array_equal(read.cases[0].inputs["x"].numpy(), values)

    def test_a_transposed_or_foreign_array_is_kept_by_value(self):
        values = np.arange(6, dtype=">f8").reshape(2, 3).T
        assert Array.of(values).numpy().tolist() == values.tolist()

    @pytest.mark.parametrize("shape", [(3,), (2, 2), (-1, -2), (0,)])
    def test_an_array_whose_bytes_do_not_fit_its_shape_is_refused(self, shape: tuple[int, ...]):
        whole = SelfTest(cases=(Case(inputs={}, expected=Array.of(np.zeros(2, np.float32))),), tolerance=0.1)
        assert decode_self_test(encode_self_test(whole)) == whole
        packed = encode_self_test(whole).replace(b"\xa5shape\x91\x02", b"\xa5shape" + packed_shape(shape))
        with pytest.raises(ManifestError, match="of shape"):
            decode_self_test(packed)

    @given(st.binary(max_size=100))
    def test_random_bytes_are_no_self_test(self, data: bytes):
        with pytest.raises(ManifestError):
            decode_self_test(data)

    def test_deep_nesting_is_no_self_test(self):
        with pytest.raises(ManifestError):
            decode_self_test(b"\x81\xa5other" + b"\x91" * 100_000)


def packed_shape(shape: tuple[int, ...]) -> bytes:
    return bytes([0x90 + len(shape), *(side % 256 for side in shape)])
