"""Heartbeats as a classifier sees them: a short waveform and what a cardiologist would compare it with.

Models name the features they take. One whose meaning or unit changes gets another name, so that a model made for the
old one is refused and never told something else.
"""

from edge_sdk.beats.bank import BeatBank, Beats
from edge_sdk.beats.describer import FEATURE_NAMES, BeatDescriber, BeatDescriberBank
from edge_sdk.beats.morphology import MORPHOLOGY_FEATURES
from edge_sdk.beats.rhythm import RHYTHM_FEATURES
from edge_sdk.beats.windower import BeatWindower

__all__ = [
    "FEATURE_NAMES",
    "MORPHOLOGY_FEATURES",
    "RHYTHM_FEATURES",
    "BeatBank",
    "BeatDescriber",
    "BeatDescriberBank",
    "BeatWindower",
    "Beats",
]
