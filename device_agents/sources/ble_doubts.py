"""What a pulse oximeter's status bits mean for its numbers.

Source: Bluetooth SIG, Pulse Oximeter Service 1.0.1, tables of the Measurement Status and the Device and Sensor Status
field. Which bits take a number away, and which only cast doubt on it, is our judgement.
"""

from __future__ import annotations

from device_agents.sources.ble_oximeter import Oximetry
from device_agents.sources.ble_reading import Doubts

_FROM_STORAGE = 1 << 9
_NOT_NOW, _WRONG, _NOBODY, _DOUBTFUL = "temp-unknown", "error", "not-performed", ""

# Measurement Status. What says that all is well (ongoing, validated, fully qualified) or from storage is left out.
_MEASUREMENT = {
    6: ("early estimate", _DOUBTFUL),
    10: ("demonstration", _NOBODY),
    11: ("test", _NOBODY),
    12: ("calibration ongoing", _NOT_NOW),
    13: ("measurement unavailable", _NOT_NOW),
    14: ("questionable measurement", _DOUBTFUL),
    15: ("invalid measurement", _WRONG),
}
_SENSOR = {
    0: ("extended display update", _DOUBTFUL),
    1: ("equipment malfunction", _WRONG),
    2: ("signal processing irregularity", _DOUBTFUL),
    3: ("inadequate signal", _NOT_NOW),
    4: ("poor signal", _DOUBTFUL),
    5: ("low perfusion", _DOUBTFUL),
    6: ("erratic signal", _DOUBTFUL),
    7: ("no pulse in the signal", _NOT_NOW),
    8: ("questionable pulse", _DOUBTFUL),
    9: ("signal analysis ongoing", _DOUBTFUL),
    10: ("sensor interference", _DOUBTFUL),
    11: ("sensor not on the patient", _NOT_NOW),
    12: ("unknown sensor", _DOUBTFUL),
    13: ("sensor displaced", _DOUBTFUL),
    14: ("sensor malfunction", _WRONG),
    15: ("sensor disconnected", _NOT_NOW),
}


def doubts_of(measured: Oximetry) -> Doubts:
    """Return what an oximeter's own status says against its numbers; what it has no field for counts as well."""
    found = [
        said
        for meanings, bits in ((_MEASUREMENT, measured.measurement_status), (_SENSOR, measured.sensor_status))
        for bit, said in meanings.items()
        if bits >> bit & 1
    ]
    reasons = {reason for _, reason in found}
    worst = next((reason for reason in (_NOBODY, _WRONG, _NOT_NOW) if reason in reasons), "")
    return Doubts(tuple(words for words, _ in found), worst)


def was_stored(measured: Oximetry) -> bool:
    """Return whether the oximeter had kept the measurement."""
    return bool(measured.measurement_status & _FROM_STORAGE)
