"""The windows of one conversion by what they are for, collected once and prepared for the model."""

from __future__ import annotations

from dataclasses import dataclass

from converters.calibration import WindowSet, prepare_windows
from converters.held_out import check_held_out
from converters.window_sources.raw import RawWindows
from edge_sdk.contracts import ModelContract


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Prepared windows.

    Attributes:
        evaluation: What the proof rests on.
        calibration: For ranges of activations.
        training: For recipes that train again.
        probabilities: For the temperature.
        remarks: What a reader of the report should know about them.
    """

    evaluation: WindowSet
    calibration: WindowSet | None
    training: WindowSet | None
    probabilities: WindowSet | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What the sources gave, not yet checked."""

    evaluation: RawWindows
    calibration: RawWindows | None
    training: RawWindows | None
    probabilities: RawWindows | None

    def prepared(self, contract: ModelContract) -> Windows:
        """Return the windows as a model of this contract takes them.

        Raises:
            ConversionError: Windows no one should build on, or a proof on what the model or its ranges have seen.
        """
        evaluation = prepare_windows(self.evaluation, contract, labelled=True)
        calibration = prepare_windows(self.calibration, contract, labelled=False) if self.calibration else None
        training = prepare_windows(self.training, contract, labelled=False) if self.training else None
        probabilities = prepare_windows(self.probabilities, contract, labelled=True) if self.probabilities else None
        seen = {"calibration": calibration, "training": training, "probabilities": probabilities}
        shared = [
            remark
            for what, windows in seen.items()
            if windows
            for remark in check_held_out(evaluation, windows, what=what)
        ]
        given = (evaluation, calibration, training, probabilities)
        remarks = [remark for windows in given if windows for remark in windows.remarks]
        return Windows(
            evaluation=evaluation,
            calibration=calibration,
            training=training,
            probabilities=probabilities,
            remarks=tuple(dict.fromkeys([*remarks, *shared])),
        )
