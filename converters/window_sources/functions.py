"""Windows from a Python function, ``module:function`` or ``path/to/file.py:function``. It runs its owner's code."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from converters.window_sources.arrays import from_mapping
from converters.window_sources.raw import RawWindows, nearest, refused
from edge_sdk.errors import ConversionError, EdgeError

_REFERENCE = re.compile(r"(?P<where>.+\.py|[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)")
_EXPECTED = "return a mapping of arrays, or yield a mapping for each window"
_PLURALS = {"label": "labels", "target": "targets"}


def is_reference(text: str) -> bool:
    """Return whether a text names a function."""
    return _REFERENCE.fullmatch(text) is not None


def from_function(reference: str) -> RawWindows:
    """Call a function without arguments and return the windows it gives.

    Raises:
        ConversionError: There is no such function, it raised, or it returned something else.
    """
    named = _REFERENCE.fullmatch(reference)
    assert named  # noqa: S101  # `is_reference` is asked before
    with _importable(_folder(named["where"])):
        function = _find(reference, named["where"], named["name"])
        with _blamed(reference, "the function raised"):
            given = function()
            if isinstance(given, Iterable) and not isinstance(given, (Mapping, str, bytes)):
                given = list(given)
    if isinstance(given, list):
        given = _stacked(reference, given)
    if not isinstance(given, Mapping):
        raise refused(reference, f"the function returned {type(given).__name__}", _EXPECTED)
    return from_mapping(given, origin=reference)


def _folder(where: str) -> Path:
    return Path(where).parent if where.endswith(".py") else Path()


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules in a folder be imported, as ``python -m`` does for the current one."""
    entry = str(folder.absolute())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


@contextmanager
def _blamed(origin: str, what: str) -> Iterator[None]:
    """Turn what foreign code raises into an error that says where it did."""
    try:
        yield
    except EdgeError:
        raise
    except (Exception, SystemExit) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise refused(
            origin,
            f"{what} {type(error).__name__}: {error}".rstrip(": "),
            f"see line {where.lineno} of {Path(where.filename).name}",
        ) from error


def _find(reference: str, where: str, name: str) -> Callable[[], Any]:
    with _blamed(reference, "importing it raised"):
        module = _from_file(reference, Path(where)) if where.endswith(".py") else _by_name(reference, where)
    found = getattr(module, name, None)
    if not callable(found):
        functions = [known for known, value in vars(module).items() if callable(value)]
        raise refused(reference, f"{where} has no function '{name}'", nearest(name, functions) or "correct the name")
    function: Callable[[], Any] = found
    return function


def _from_file(reference: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise refused(reference, f"there is no file {path}", "check the path")
    name = f"windows_of_{path.stem}"  # not the file's own: it may be that of a module in use
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec  # noqa: S101  # there is a loader for files that end in .py
    assert spec.loader  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look there
    spec.loader.exec_module(module)
    return module


def _by_name(reference: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise _no_module(reference, name) from error
        raise


def _no_module(reference: str, name: str) -> ConversionError:
    return refused(
        reference, f"there is no module '{name}'", "run it in the module's folder, or give path/to/file.py:function"
    )


def _stacked(origin: str, windows: list[Any]) -> dict[str, list[Any]]:
    """Return one list for each name, from one mapping for each window."""
    for number, window in enumerate(windows):
        if not isinstance(window, Mapping):
            raise refused(origin, f"item {number} of what the function gave is {type(window).__name__}", _EXPECTED)
        if set(window) != set(windows[0]):
            raise refused(
                origin,
                f"window {number} has {', '.join(map(str, window))}, and window 0 {', '.join(map(str, windows[0]))}",
                "give every window the same parts",
            )
    if not windows:
        raise refused(origin, "the function gave no windows", _EXPECTED)
    return {_PLURALS.get(name, name): [window[name] for window in windows] for name in windows[0]}
