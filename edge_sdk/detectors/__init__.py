"""Detectors: from samples to events."""

from edge_sdk.detectors.r_peaks import RPeakDetector

__all__ = ["RPeakDetector"]
