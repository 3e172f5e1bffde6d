"""Alarm rules on the sequence of beats. Pure: they know labels, not times or signals."""

from __future__ import annotations

from edge_sdk.codes import LOCAL, Code

VENTRICULAR_RUN = Code(LOCAL, "ventricular-run", "Run of ventricular beats")
VENTRICULAR_LABEL = "V"
# Three or more in a row are a run (ventricular tachycardia when fast): Katritsis et al., EP Europace 2012.
RUN_BEATS = 3
# One misread beat inside a run must not end it and start a second alarm.
REARM_BEATS = 3


class VentricularRun:
    """Says once per run when the third ventricular beat in a row arrives, and rearms after three others in a row."""

    def __init__(self) -> None:
        self._in_a_row, self._others, self._armed = 0, 0, True

    def beat(self, label: str) -> bool:
        """Take the next beat's label and return whether it completes a new run."""
        if label != VENTRICULAR_LABEL:
            self._in_a_row, self._others = 0, self._others + 1
            self._armed = self._armed or self._others >= REARM_BEATS
            return False
        self._in_a_row, self._others = self._in_a_row + 1, 0
        begins = self._armed and self._in_a_row >= RUN_BEATS
        self._armed = self._armed and not begins
        return begins

    def unknown(self) -> None:
        """Take a beat that could not be classified: beats around it are not in a row, and it ends no run."""
        self._in_a_row = 0
