"""What a report tells about a regression: every quantity before and after, against the truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.calibration import WindowSet
from converters.report_pictures import points
from edge_sdk.manifest import Manifest
from edge_sdk.tensors import FloatArray

_SCATTERED = 800


def quantities_context(
    before: FloatArray, after: FloatArray, evaluation: WindowSet, manifest: Manifest
) -> dict[str, Any]:
    """Return what the page's template needs, for the estimates of two models, each (n, quantities)."""
    chosen = np.linspace(0, len(before) - 1, min(_SCATTERED, len(before))).astype(np.int64)
    truth = before if evaluation.targets is None else evaluation.targets
    return {
        "estimated": [
            {
                "quantity": quantity,
                "agreeing": points(before[chosen, column], after[chosen, column]),
                "against_truth": points(truth[chosen, column], after[chosen, column]),
            }
            for column, quantity in enumerate(manifest.output.quantities)
        ]
    }
