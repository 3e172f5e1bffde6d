"""Compiling for a Jetson: ONNX that its TensorRT reads, run here by onnxruntime, and built by NVIDIA's own builder."""

from __future__ import annotations

from converters.compilers.jetson.check import can_check, check_build, notes, refusal
from converters.compilers.jetson.graphs import OnnxModel, nodes, read_onnx
from converters.compilers.jetson.opsets import within_opset
from converters.compilers.jetson.precision import opset
from converters.compilers.jetson.releases import Release, oldest_tensorrt, release_of
from converters.limits import check_limits, onnx_needs
from converters.models import CompiledModel, OptimizedModel
from edge_sdk.errors import ConversionError
from edge_sdk.manifest import Artifact
from edge_sdk.profiles import HardwareProfile

MODEL_PATH = "model.onnx"


def compile_jetson(model: OptimizedModel, profile: HardwareProfile) -> CompiledModel:
    """Bring an ONNX model to what the oldest TensorRT of the board's JetPacks reads, and prove that it builds.

    What it answers is computed here by onnxruntime, from the same file. The device builds its engine from it: engines
    are not portable between GPUs or versions of TensorRT.

    Raises:
        ConversionError: It is no ONNX, the board's TensorRT does not take it, or NVIDIA's parser or builder refuses it.
        ProfileError: The profile does not say which TensorRT the board has.
    """
    if profile.accelerator is None or model.form != "onnx":
        raise ConversionError(
            f"{profile.name} and a model in {model.form} form do not go together here",
            remedy="choose a Jetson and a model that has an ONNX form",
        )
    capability, tensorrt = profile.accelerator.compute_capability, oldest_tensorrt(profile)
    release = release_of(tensorrt)
    data = within_opset(model.data, release.max_opset)
    _require_known_operators(data, release, profile)
    warned = check_limits(onnx_needs(data), profile)
    loaded = OnnxModel(data)
    probe = check_build(data, capability) if can_check() else None
    refused = probe and refusal(probe, capability)
    if refused:
        raise refused
    return CompiledModel(
        source=model.source,
        recipe=model.recipe,
        artifact=Artifact(
            path=MODEL_PATH,
            backend="tensorrt",
            targets=(profile.slug,),
            inputs=loaded.inputs,
            outputs=(loaded.output,),
            minimum_runtime=f"{tensorrt}.0",
        ),
        data=data,
        predict=loaded.predict,
        reference=model.reference,
        notes={
            "ONNX opset": f"{opset(read_onnx(data))}; TensorRT {tensorrt} reads up to {release.max_opset}",
            **notes(probe, capability),
        },
        remarks=(*model.remarks, *warned),
    )


def _require_known_operators(data: bytes, release: Release, profile: HardwareProfile) -> None:
    used = {node.op_type for node in nodes(read_onnx(data).graph)}
    refused = sorted(used & set(release.refused))
    if refused:
        raise ConversionError(
            f"TensorRT {release.version} of {profile.name} does not read {', '.join(refused)} ({release.source})",
            remedy="replace that layer in the model, or choose a board with a newer JetPack",
        )
