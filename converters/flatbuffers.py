"""What a LiteRT flatbuffer is made of, read with the schema that comes with the runtime."""

from __future__ import annotations

from functools import cache
from typing import Any

from edge_sdk.errors import ConversionError

# The file identifier that the schema gives, at byte 4 of every such file.
_IDENTIFIER = b"TFL3"
_IDENTIFIER_AT = 4


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


def operator_name(model: Any, operator: Any) -> str:
    """Return an operator's name in the schema, e.g. ``CONV_2D``; a custom one's own."""
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    name = _builtin_names()[builtin]
    return code.customCode.decode() if name == "CUSTOM" else name


def operator_version(model: Any, operator: Any) -> int:
    """Return the version of an operator that the model asks for."""
    return int(model.operatorCodes[operator.opcodeIndex].version)


@cache
def _builtin_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415

    return {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
