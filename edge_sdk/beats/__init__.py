"""Heartbeats as a classifier sees them: a short waveform and what a cardiologist would compare it with.

Models name the features they take. One whose meaning or unit changes gets another name, so that a model made for the
old one is refused and never told something else.
"""

from edge_sdk.beats.describer import BeatDescriber
from edge_sdk.beats.morphology import MORPHOLOGY_FEATURES
from edge_sdk.beats.rhythm import RHYTHM_FEATURES
from edge_sdk.beats.windower import BeatWindower

FEATURE_NAMES = (*RHYTHM_FEATURES, *MORPHOLOGY_FEATURES)

__all__ = ["FEATURE_NAMES", "MORPHOLOGY_FEATURES", "RHYTHM_FEATURES", "BeatDescriber", "BeatWindower"]
