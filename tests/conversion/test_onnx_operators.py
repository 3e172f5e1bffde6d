from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from tests.conversion.onnx_graphs import answers, graph, weights, windows

LINE, PLANE, TABLE, SERIES = (3, 13), (3, 11, 8), (6,), (7, 3)
SIZES = {LINE: "1d", PLANE: "2d"}
ML = "ai.onnx.ml:"
ROOT_2 = np.float32(np.sqrt(2))
Case = Any


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def f32(value: float) -> np.ndarray:
    return np.float32(value)


def one(operator: str, shape: tuple[int, ...], takes: str = "x", opset: int = 17, **attributes: Any) -> Case:
    """One operator on one input; weights are given as attributes whose names are single letters."""
    constants = {name: attributes.pop(name) for name in list(attributes) if len(name) == 1}
    return [(operator, takes, "y", attributes)], shape, constants, opset


def unary() -> dict[str, Case]:
    plain = (
        "Abs Ceil Celu Cos Elu Erf Exp Floor HardSigmoid HardSwish Identity LeakyRelu LogSoftmax Mish Neg Reciprocal "
        "Relu Round Selu Sigmoid Sign Sin Softmax Softplus Softsign Tanh ThresholdedRelu"
    )
    found = {name: one(name, LINE, opset=18) for name in plain.split()}
    found["Gelu"] = one("Gelu", LINE, opset=20)
    found["Gelu by tanh"] = one("Gelu", LINE, opset=20, approximate="tanh")
    found["MeanVarianceNormalization"] = one("MeanVarianceNormalization", PLANE)
    found["Softmax over channels"] = one("Softmax", PLANE, axis=1)
    found["CumSum"] = one("CumSum", LINE, "x a", a=np.int64(1), reverse=1)
    for axis in (1, 2):
        found[f"old Softmax from axis {axis}"] = one("Softmax", LINE, opset=11, axis=axis)
    return found


def binary() -> dict[str, Case]:
    found = {}
    for name in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Mean", "Sum", "PRelu"):
        found[f"{name} with a constant"] = one(name, LINE, "x c", c=np.abs(weights(13)) + 0.5)
    for exponent in (0.5, 1.0, 2.0, 2.5, 3.0):
        nodes = [("Exp", "x", "e", {}), ("Pow", "e p", "y", {})]
        found[f"Pow {exponent}"] = (nodes, LINE, {"p": f32(exponent)}, 17)
    conv = ("Conv", "x w", "c", {"pads": [1, 1]})
    found["channels last beside channels first"] = ([conv, ("Add", "c x", "y", {})], LINE, {"w": weights(3, 3, 3)}, 17)
    constants = {"w": weights(4, 3, 3), "a": weights(4, 1), "b": weights(13)}
    nodes = [conv, ("Add", "c a", "d", {}), ("Mul", "d b", "y", {})]
    found["constants beside channels last"] = (nodes, LINE, constants, 17)
    nodes = [("Greater", "x z", "g", {}), ("Not", "g", "n", {}), ("Where", "n x c", "y", {})]
    found["Where"] = (nodes, LINE, {"z": f32(0.1), "c": weights(13)}, 17)
    nodes = [
        ("Less", "x z", "l", {}),
        ("Greater", "x v", "g", {}),
        ("And", "l g", "a", {}),
        ("Cast", "a", "y", {"to": 1}),
    ]
    found["logic"] = (nodes, LINE, {"z": f32(0.5), "v": f32(-0.5)}, 17)
    return found


def windowed() -> dict[str, Case]:
    found = {}
    for shape in (LINE, PLANE):
        rank = len(shape) - 1
        two, ones, name = [2] * rank, [1] * 2 * rank, SIZES[shape]
        ways: dict[str, dict[str, Any]] = {
            "": {},
            "padded": {"pads": ones},
            "unevenly": {"pads": [2] * rank + [0] * rank},
            "strided": {"strides": two, "pads": ones},
            "upper": {"auto_pad": "SAME_UPPER", "strides": two},
            "lower": {"auto_pad": "SAME_LOWER", "strides": two},
        }
        kinds = {"plain": (1, 4), "depthwise": (3, 3), "wide depthwise": (3, 6)}
        for way, attributes in {**ways, "dilated": {"dilations": two, "pads": [2] * 2 * rank}}.items():
            for kind, (groups, outputs) in kinds.items():
                kernel, bias = weights(outputs, 3 // groups, *[3] * rank), weights(outputs)
                found[f"{kind} Conv {name} {way}"] = one(
                    "Conv", shape, "x w b", w=kernel, b=bias, group=groups, **attributes
                )
        for way, attributes in {**ways, "rounded up": {"strides": two, "pads": ones, "ceil_mode": 1}}.items():
            for operator in ("MaxPool", "AveragePool"):
                found[f"{operator} {name} {way}"] = one(
                    operator, shape, opset=19, kernel_shape=[3] * rank, **attributes
                )
            if "auto_pad" not in attributes:
                counting = {"kernel_shape": [3] * rank, "count_include_pad": 1, **attributes}
                found[f"AveragePool {name} {way} counting"] = one("AveragePool", shape, opset=19, **counting)
        for way, attributes in {
            "": {},
            "strided": {"strides": two, "pads": ones},
            "longer": {"strides": two, "output_padding": [1] * rank},
            "to a shape": {"strides": two, "auto_pad": "SAME_UPPER", "output_shape": [2 * n for n in shape[1:]]},
        }.items():
            kernel, bias = weights(3, 4, *[3] * rank), weights(4)
            found[f"ConvTranspose {name} {way}"] = one("ConvTranspose", shape, "x w b", w=kernel, b=bias, **attributes)
        for operator in ("GlobalAveragePool", "GlobalMaxPool"):
            found[f"{operator} {name}"] = one(operator, shape)
        found[f"InstanceNormalization {name}"] = one(
            "InstanceNormalization", shape, "x s b", s=weights(3), b=weights(3)
        )
        found[f"BatchNormalization {name}"] = one(
            "BatchNormalization", shape, "x s b m v", s=weights(3), b=weights(3), m=weights(3), v=weights(3) ** 2 + 1
        )
        for opset, count in ((18, 1), (21, 3)):
            scale = {"s": weights(count), "b": weights(count)}
            found[f"GroupNormalization {name} {opset}"] = one(
                "GroupNormalization", shape, "x s b", opset, num_groups=1, **scale
            )
        found |= resized(shape)
    grouped = one("Conv", (4, 9), "x w", w=weights(6, 2, 3), group=2)
    return {**found, "grouped Conv": grouped}


def resized(shape: tuple[int, ...]) -> dict[str, Case]:
    found, name = {}, SIZES[shape]
    scales = np.array([1, 1, *[2] * (len(shape) - 1)], np.float32)
    for way in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
        attributes = {"coordinate_transformation_mode": way, "s": scales}
        found[f"linear Resize {name} {way}"] = one("Resize", shape, "x - s", mode="linear", **attributes)
        for rounding in ("round_prefer_floor", "floor", "ceil"):
            found[f"nearest Resize {name} {way} {rounding}"] = one(
                "Resize", shape, "x - s", nearest_mode=rounding, **attributes
            )
    found[f"Resize to sizes {name}"] = one(
        "Resize", shape, "x - - s", mode="linear", s=i64(1, *shape[:1], *[5] * (len(shape) - 1))
    )
    found[f"Upsample {name}"] = one("Upsample", shape, "x s", opset=9, s=scales)
    found[f"old Resize {name}"] = one("Resize", shape, "x s", opset=10, s=scales)
    return found


def shaped() -> dict[str, Case]:
    conv, kernel = ("Conv", "x w", "c", {"pads": [1, 1]}), weights(4, 3, 3)

    def after(*nodes: Any, opset: int = 17, **constants: Any) -> Case:
        return [conv, *nodes], LINE, {"w": kernel, **constants}, opset

    found = {
        "Flatten and Gemm": after(("Flatten", "c", "f", {}), ("Gemm", "f v", "y", {}), v=weights(52, 5)),
        "Flatten, Relu, BatchNormalization, Gemm": after(
            ("Flatten", "c", "f", {}),
            ("Relu", "f", "r", {}),
            ("BatchNormalization", "r s s s t", "n", {}),
            ("Gemm", "n v", "y", {}),
            v=weights(52, 5),
            s=weights(52),
            t=weights(52) ** 2 + 1,
        ),
        "Flatten and Softmax": after(("Flatten", "c", "f", {}), ("Softmax", "f", "y", {})),
        "Transpose and Reshape": after(
            ("Transpose", "c", "t", {"perm": [0, 2, 1]}), ("Reshape", "t s", "y", {}), s=i64(1, -1, 2)
        ),
        "Gather one": after(("Gather", "c i", "y", {"axis": 1}), i=np.int64(-1)),
        "Gather neighbours": after(("Gather", "c i", "y", {"axis": 2}), i=i64(2, 3, 4)),
        "Gather any": after(("Gather", "c i", "y", {"axis": 1}), i=i64(3, 0)),
        "Gather a matrix": after(("Gather", "c i", "y", {"axis": 1}), i=np.array([[0, 1], [2, 3]])),
        "Tile": after(("Tile", "c s", "y", {}), s=i64(1, 2, 3)),
        "Concat": after(("Concat", "c x k", "y", {"axis": 1}), k=weights(1, 2, 13)),
        "Slice with steps": after(
            ("Slice", "c s e a t", "y", {}), s=i64(0, -1), e=i64(4, -(2**62)), a=i64(1, 2), t=i64(2, -3)
        ),
        "MatMul on channels": after(
            ("Transpose", "c", "t", {"perm": [0, 2, 1]}), ("MatMul", "t v", "y", {}), v=weights(4, 5)
        ),
        "MatMul on time": after(("MatMul", "c v", "y", {}), v=weights(13, 5)),
        "LayerNormalization on time": after(("LayerNormalization", "c s b", "y", {}), s=weights(13), b=weights(13)),
        "squeeze and excite": after(
            ("ReduceMean", "c", "m", {"axes": [2], "keepdims": 0}),
            ("Gemm", "m v", "g", {}),
            ("Unsqueeze", "g a", "u", {}),
            ("Mul", "c u", "y", {}),
            v=weights(4, 4),
            a=i64(2),
        ),
        "DepthToSpace": one("DepthToSpace", (8, 3, 2), blocksize=2),
        "DepthToSpace by columns": one("DepthToSpace", (8, 3, 2), blocksize=2, mode="CRD"),
        "SpaceToDepth": one("SpaceToDepth", (2, 6, 4), blocksize=2),
        "Expand": one("Expand", (1, 6), "x s", s=i64(1, 4, 6)),
        "Trilu": one("Trilu", (5, 5), upper=0),
        "Pad by reflection": one("Pad", LINE, "x p", p=i64(0, 0, 2, 0, 0, 1), mode="reflect"),
        "Pad with edges": one("Pad", LINE, "x p", p=i64(0, 0, 2, 0, 0, 1), mode="edge"),
        "Split in halves": (
            [("Split", "x", "a b", {"axis": 2, "num_outputs": 2}), ("Concat", "b a", "y", {"axis": 2})],
            LINE,
            {},
            18,
        ),
        "ReverseSequence": one("ReverseSequence", (5, 2), "x n", n=i64(5), batch_axis=0, time_axis=1),
        "ConstantOfShape": (
            [
                ("Shape", "x", "s", {}),
                ("ConstantOfShape", "s", "c", {"value": numpy_helper.from_array(np.array([2], np.float32))}),
                ("Mul", "x c", "y", {}),
            ],
            LINE,
            {},
            17,
        ),
    }
    for name in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"):
        axes: dict[str, Any] = {} if name == "Sum" else {"axes": [2]}
        takes = "e a" if name == "Sum" else "e"
        for keep in (0, 1):
            reduce = (f"Reduce{name}", takes, "y", {"keepdims": keep, **axes})
            found[f"Reduce{name} {'kept' if keep else ''}"] = after(("Exp", "c", "e", {}), reduce, a=i64(2))
    return found


def by_opset() -> dict[str, Case]:
    """Operators whose attributes became inputs."""
    found = {}
    for opset in (9, 11, 13, 18, 21):
        attributes = opset < 13
        axes: dict[str, Any] = {"axes": [1]} if attributes else {}
        more = "" if attributes else " a"
        constants = {} if attributes else {"a": i64(1)}
        nodes = [("Unsqueeze", "x" + more, "u", axes), ("Relu", "u", "r", {}), ("Squeeze", "r" + more, "y", axes)]
        found[f"Squeeze {opset}"] = (nodes, LINE, constants, opset)
        found[f"ReduceSum {opset}"] = (
            [("ReduceSum", "x" + more, "y", {**axes, "keepdims": 0})],
            LINE,
            constants,
            opset,
        )
        split = {"axis": 1, "split": [1, 2]} if attributes else {"axis": 1}
        nodes = [("Split", "x" + more, "p q", split), ("Concat", "q p", "y", {"axis": 1})]
        found[f"Split {opset}"] = (nodes, LINE, {} if attributes else {"a": i64(1, 2)}, opset)
        nodes = [("Dropout", "x", "d", {}), ("Softmax", "d", "y", {"axis": 2})]
        found[f"Dropout and Softmax {opset}"] = (nodes, LINE, {}, opset)
        if opset < 11:
            found[f"Clip {opset}"] = one("Clip", LINE, opset=opset, min=-0.5, max=0.7)
            found[f"Pad {opset}"] = one("Pad", LINE, opset=opset, pads=[0, 1, 2, 0, 0, 1], value=0.5)
            found[f"Slice {opset}"] = one("Slice", LINE, opset=opset, starts=[1, -3], ends=[3, 2**31], axes=[1, 2])
        else:
            found[f"Clip {opset}"] = one("Clip", LINE, "x l h", opset, l=f32(-0.5), h=f32(0.7))
            found[f"Pad {opset}"] = one("Pad", LINE, "x p v", opset, p=i64(0, 1, 2, 0, 0, 1), v=f32(0.5))
            found[f"Slice {opset}"] = one("Slice", LINE, "x s e a", opset, s=i64(1, -3), e=i64(3, 2**62), a=i64(1, 2))
    return found


def multiplied() -> dict[str, Case]:
    turned = ("Transpose", "x", "t", {"perm": [0, 2, 1]})
    return {
        "Gemm": one("Gemm", TABLE, "x w b", w=weights(4, 6), b=weights(4), transB=1, alpha=0.5, beta=2.0),
        "Gemm without bias": one("Gemm", TABLE, "x w", w=weights(6, 4)),
        "MatMul with a constant first": one("MatMul", SERIES, "w x", w=weights(1, 4, 7)),
        "MatMul with a vector": one("MatMul", SERIES, "x v", v=weights(3)),
        "MatMul with itself": ([turned, ("MatMul", "x t", "y", {})], SERIES, {}, 17),
        "MatMul turned first": ([turned, ("MatMul", "t x", "y", {})], SERIES, {}, 17),
        "Einsum": one("Einsum", SERIES, "x x", equation="bij,bkj->bik"),
        "LayerNormalization": one("LayerNormalization", SERIES, "x s b", s=weights(3), b=weights(3)),
        "LpNormalization": one("LpNormalization", SERIES, p=2),
        "Scaler": one(ML + "Scaler", TABLE, scale=[2.0] * 6, offset=[0.5] * 6),
        "Normalizer L1": one(ML + "Normalizer", TABLE, norm="L1"),
        "Normalizer L2": one(ML + "Normalizer", TABLE, norm="L2"),
        "LinearRegressor": one(
            ML + "LinearRegressor", TABLE, coefficients=weights(12).tolist(), intercepts=[0.1, 0.2], targets=2
        ),
    }


def classifiers() -> dict[str, Case]:
    found = {}
    for count, names in ((3, [0, 1, 2]), (1, [0, 1])):
        for transform in ("NONE", "LOGISTIC", "SOFTMAX")[: 3 if count > 1 else 2]:
            attributes = {
                "coefficients": weights(6 * count).tolist(),
                "intercepts": weights(count).tolist(),
                "classlabels_ints": names,
                "post_transform": transform,
            }
            found[f"LinearClassifier of {len(names)}, {transform}"] = (
                [(ML + "LinearClassifier", "x", "l y", attributes)],
                TABLE,
                {},
                17,
            )
    return found


def recurrent() -> dict[str, Case]:
    found = {}
    for operator, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        for direction in ("forward", "reverse", "bidirectional"):
            ways = 2 if direction == "bidirectional" else 1
            constants = {
                "w": weights(ways, gates * 4, 3),
                "r": weights(ways, gates * 4, 4, seed=5),
                "b": weights(ways, gates * 8, seed=6),
                "h": weights(ways, 1, 4, seed=7),
            }
            turned = ("Transpose", "x", "t", {"perm": [1, 0, 2]})
            for before in (0, 1) if operator == "GRU" else (0,):
                attributes: dict[str, Any] = {"hidden_size": 4, "direction": direction}
                if before:
                    attributes["linear_before_reset"] = 1
                state = " h h" if operator == "LSTM" else " h"
                name = f"{operator} {direction}{' reset later' if before else ''}"
                every = [turned, (operator, "t w r b", "y", attributes)]
                found[f"{name}, every step"] = (every, SERIES, constants, 17)
                last = [turned, (operator, "t w r b -" + state, "- y", attributes)]
                found[f"{name}, last step"] = (last, SERIES, constants, 17)
    return found


def written_out_gelu() -> dict[str, Case]:
    constants = {"r": ROOT_2, "q": 1 / ROOT_2, "h": f32(0.5), "o": f32(1)}
    begin = [("Div", "x r", "a", {}), ("Erf", "a", "e", {}), ("Add", "e o", "p", {})]
    ends = {
        "half last": [("Mul", "x p", "m", {}), ("Mul", "m h", "y", {})],
        "half first": [("Mul", "p h", "m", {}), ("Mul", "m x", "y", {})],
        "half of x": [("Mul", "x h", "m", {}), ("Mul", "m p", "y", {})],
    }
    return {f"Gelu written out, {name}": ([*begin, *end], LINE, constants, 17) for name, end in ends.items()}


CASES = {
    **unary(),
    **binary(),
    **windowed(),
    **shaped(),
    **by_opset(),
    **multiplied(),
    **classifiers(),
    **recurrent(),
    **written_out_gelu(),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_what_onnxruntime_computes(name: str, tmp_path: Path) -> None:
    import tensorflow as tf

    from converters.importers.fitting import InputFit
    from converters.importers.onnx_graph import check_operators, computed
    from converters.importers.onnx_ops import OPERATORS
    from converters.importers.onnx_simplify import simplified, with_sizes

    nodes, shape, constants, opset = CASES[name]
    batched = (1, *shape)
    outputs = ("y",)
    model = graph(nodes, {"x": batched}, constants, outputs=outputs, opset=opset)
    given = windows(4, x=shape)

    simple = simplified(with_sizes(model, {"x": batched}, "y"), OPERATORS, tmp_path)
    check_operators(simple.graph)
    fit = InputFit(name="x", source="x", expanded=batched, order=tuple(range(len(batched))))
    for unroll in (False, True):
        rows = [
            computed(simple.graph, opset, [fit], {"x": tf.constant(row[None])}, unroll=unroll) for row in given["x"]
        ]
        found = np.stack([row.numpy().reshape(-1) for row in rows])
        expected = answers(model, given, "y")

        assert np.ptp(expected) > 0
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
