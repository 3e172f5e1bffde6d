"""What every compiler does: an optimized model in, a model for one board out."""

from __future__ import annotations

from collections.abc import Callable

from converters.models import CompiledModel, OptimizedModel
from edge_sdk.profiles import HardwareProfile

Compiler = Callable[[OptimizedModel, HardwareProfile], CompiledModel]
