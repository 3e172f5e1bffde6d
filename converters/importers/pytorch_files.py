"""Reading programs that ``torch.export`` saved. A pickle is never opened, and no code of a file is run.

``torch.export.load`` would run code in three kinds of file that `torch.export.save` seldom or never writes: with
pickled objects, with compiled libraries, and with expressions or functions beyond those of tensors. Each is refused
before it is called.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from converters.importers.tensorflow import first_line
from edge_sdk.errors import ConversionError, MissingDependency

_SAVE = "torch.export.save(torch.export.export(model.eval(), (example,)), '{}.pt2')"
# What a program for one window is made of: functions of tensors, and arithmetic on the size of the batch.
_FUNCTION = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|torch\.ops\.higher_order\.wrap_with_set_grad_enabled|"
    r"_operator\.(getitem|add|sub|mul|floordiv|mod|eq|ne|ge|gt|le|lt)"
)
_EXPRESSION = re.compile(
    r"((Symbol|Integer|Add|Mul|FloorDiv|Mod|Pow|Min|Max|Eq|Ne|Ge|Gt|Le|Lt)\(|'[a-z]+\d*'|True|False|"
    r"(positive|integer|nonnegative)=True|[\d\s,()+*-])*"
)
_GUARD = re.compile(r"L\['\w+'\]\.size\(\)\[\d+\] [=!<>]=? (\d+|L\['\w+'\]\.size\(\)\[\d+\])")
_NAME = re.compile(r"[\w.]*")
_ALLOWED = {
    "target": _FUNCTION,
    "expr_str": _EXPRESSION,
    "guards_code": _GUARD,
    "forward_arg_names": _NAME,
    "name": _NAME,
}
_WEIGHTS = re.compile(r"data/(weights|constants)/((weight|tensor)_\d+|[\w.]+_config\.json)")
_OTHER_MEMBERS = re.compile(
    r"models/\w+\.json|data/sample_inputs/\w+\.pt|archive_format|archive_version|\.?data/version|byteorder|\.data/\w+|extra/.*"
)


def load_program(path: Path) -> Any:
    """Return the ``ExportedProgram`` in a ``.pt2`` file.

    Raises:
        ConversionError: A pickle, a TorchScript file, not a file of one program, or one that may hold code.
        MissingDependency: PyTorch is not installed.
    """
    members = _members(path)
    torch = need_torch()
    _check_members(path, members)
    try:
        _check_sample(torch, members)
        return torch.export.load(io.BytesIO(path.read_bytes()))
    except Exception as error:  # torch raises many kinds for a wrong file
        raise not_loaded(path, f"{first_line(error)}; PyTorch here is {torch.__version__}") from error


def need_torch() -> Any:
    """Return the module ``torch``.

    Raises:
        MissingDependency: It is not installed, or its converter is not.
    """
    try:
        import litert_torch  # noqa: F401, PLC0415  # heavy, and only models of PyTorch need it
        import torch  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependency(
            f"{error.name} is not installed", remedy="run: pip install 'wearable-edge-sdk[torch]'"
        ) from error
    return torch


def not_loaded(path: Path, why: str) -> ConversionError:
    """Return the error for a file that is no program."""
    return ConversionError(
        f"{path} cannot be loaded as an exported program ({why})", remedy=f"save it with {_SAVE.format(path.stem)}"
    )


def _members(path: Path) -> dict[str, bytes]:
    """Return what the archive holds, by name within its single folder."""
    if not zipfile.is_zipfile(path):
        if path.suffix == ".pt2":
            raise not_loaded(path, "it is not a zip, or was cut short")
        raise _pickle(path)
    with zipfile.ZipFile(path) as archive:
        held = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    if any(name.startswith("code/") for name in held):
        raise not_loaded(path, "it is a TorchScript file, which PyTorch has given up")
    if "data.pkl" in held:
        raise _pickle(path)
    if held.get("archive_format") != b"pt2":
        raise not_loaded(path, "it does not call itself one")
    return held


def _pickle(path: Path) -> ConversionError:
    return ConversionError(
        f"{path} is not opened: a pickle runs the code that is in it, and weights alone are no model",
        remedy=f"where the model's class is, load it and run {_SAVE.format(path.stem)}",
    )


def _check_members(path: Path, members: dict[str, bytes]) -> None:
    models = [name for name in members if name.startswith("models/")]
    if len(models) != 1:
        raise not_loaded(path, f"it holds {len(models)} programs")
    allowed = (_WEIGHTS, _OTHER_MEMBERS)
    strange = [name for name in members if not any(pattern.fullmatch(name) for pattern in allowed)]
    configs = [json.loads(data) for name, data in members.items() if name.endswith("_config.json")]
    strange += [f"pickled {value}" for config in configs for key, value in _texts(config) if key == "use_pickle"]
    for key, value in _texts(json.loads(members[models[0]])):
        if key in _ALLOWED and not _ALLOWED[key].fullmatch(value):
            strange.append(value)
    if strange:
        raise ConversionError(
            f"{path} holds parts that are not known to be safe: {', '.join(strange[:5])}",
            remedy="export a model made of PyTorch's own layers and functions, with torch.export.save",
        )


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in a JSON value, and every ``true``, with the key it is under."""
    if isinstance(value, dict):
        for name, held in value.items():
            yield from _texts(held, name)
    elif isinstance(value, list):
        for held in value:
            yield from _texts(held, key)
    elif isinstance(value, str) or value is True:
        yield key, str(value)


def _check_sample(torch: Any, members: dict[str, bytes]) -> None:
    # PyTorch would fall back to unpickling anything.
    for name, data in members.items():
        if name.startswith("data/sample_inputs/"):
            torch.load(io.BytesIO(data), weights_only=True)
