"""What a LiteRT flatbuffer is made of, read and written with the schema that comes with the runtime."""

from __future__ import annotations

from functools import cache
from typing import Any

from edge_sdk.errors import ConversionError

# The file identifier that the schema gives, at byte 4 of every such file.
_IDENTIFIER = b"TFL3"
_IDENTIFIER_AT = 4
# What the schema asks for the data of a tensor (``force_align: 16``); the generated Python code forgets it.
_ALIGNMENT_BYTES = 16


def is_flatbuffer(data: bytes) -> bool:
    """Return whether these bytes call themselves a LiteRT model."""
    return data[_IDENTIFIER_AT : _IDENTIFIER_AT + len(_IDENTIFIER)] == _IDENTIFIER


def read_model(data: bytes) -> Any:
    """Return the schema's ``ModelT`` of a flatbuffer.

    Raises:
        ConversionError: Not such a file, or cut short.
    """
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415  # only a workstation has it

    problem = "it does not begin like one"
    if is_flatbuffer(data):
        try:
            return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
        except Exception as error:  # noqa: BLE001  # struct.error, IndexError, TypeError, UnicodeDecodeError …
            problem = f"it is damaged ({type(error).__name__})"
    raise ConversionError(f"this is no LiteRT model: {problem}", remedy="give a whole .tflite file")


def write_model(model: Any) -> bytes:
    """Return the flatbuffer of a ``ModelT``, the data of its tensors aligned as runtimes need it."""
    import flatbuffers  # noqa: PLC0415  # only a workstation has it

    class Aligned(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers has no types
        def StartVector(self, size: int, count: int, alignment: int) -> Any:  # noqa: N802
            return super().StartVector(size, count, _ALIGNMENT_BYTES if size == 1 else alignment)

    builder = Aligned(0)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def operator_name(model: Any, operator: Any) -> str:
    """Return an operator's name in the schema, e.g. ``CONV_2D``; a custom one's own."""
    return code_name(model.operatorCodes[operator.opcodeIndex])


def code_name(code: Any) -> str:
    """Return the name of an entry in the model's list of operators."""
    name = _builtin_names()[max(code.builtinCode, code.deprecatedBuiltinCode)]
    return code.customCode.decode() if name == "CUSTOM" else name


def operator_version(model: Any, operator: Any) -> int:
    """Return the version of an operator that the model asks for."""
    return int(model.operatorCodes[operator.opcodeIndex].version)


@cache
def _builtin_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415

    return {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
