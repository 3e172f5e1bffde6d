"""Where windows come from. Each source gives them under the names of an ``.npz``; `converters.calibration` judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Union

from converters.window_sources.arrays import from_mapping, from_npz
from converters.window_sources.csv_file import from_csv
from converters.window_sources.functions import from_function, is_reference
from converters.window_sources.raw import RawWindows, refused
from converters.window_sources.records import from_records
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConfigError

__all__ = ["RawWindows", "Source", "collect_windows"]

Source = Union[str, Path, Mapping[str, Any]]


def collect_windows(
    source: Source,
    contract: ModelContract,
    *,
    labelled: bool,
    progress: Callable[[float], None] = lambda _done: None,
) -> RawWindows:
    """Return the windows of a source, not yet checked.

    Args:
        source: An ``.npz`` or ``.csv`` file, a folder of WFDB records, ``module:function`` or ``file.py:function``,
            or arrays by name.
        contract: How records are cut, and what columns are called.
        labelled: Whether the truth is needed.
        progress: Told which fraction of a folder is read.

    Raises:
        ConfigError: There is no such source.
        ConversionError: It cannot be read; says where and why.
    """
    if isinstance(source, Mapping):
        return from_mapping(source, origin="memory")
    path = Path(source)
    if path.is_dir():
        return from_records(path, contract, labelled=labelled, progress=progress)
    if path.suffix.lower() == ".npz":
        return from_npz(path)
    if path.suffix.lower() == ".csv":
        return from_csv(path, contract, labelled=labelled)
    if is_reference(str(source)):
        return from_function(str(source))
    if not path.exists():
        raise ConfigError(f"windows {source} do not exist", remedy="check the path")
    raise refused(
        str(source),
        "no such kind of file is read",
        "give an .npz or .csv file, a folder of WFDB records, or module:function",
    )
