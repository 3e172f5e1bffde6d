"""Codes that observations carry: LOINC, ISO/IEEE 11073 MDC, and our own for what neither names."""

from __future__ import annotations

import msgspec

LOINC = "http://loinc.org"
MDC = "urn:iso:std:iso:11073:10101"
LOCAL = "urn:wearable-edge-sdk:codes"

UCUM_SYSTEM = "http://unitsofmeasure.org"
PER_MINUTE = "/min"
MILLIVOLT = "mV"
PERCENT = "%"
CELSIUS = "Cel"
SECOND = "s"


class Code(msgspec.Struct, frozen=True, order=True):
    """One coded concept.

    Attributes:
        system: URI of the code system, as FHIR writes it.
        code: The code in that system.
        display: Words for a person.
    """

    system: str
    code: str
    display: str


# Sources: loinc.org for the vital-signs profile of FHIR R4; ISO/IEEE 11073-10101 for MDC.
HEART_RATE = Code(LOINC, "8867-4", "Heart rate")
PULSE_RATE = Code(LOINC, "8889-8", "Heart rate by Pulse oximetry")
PULSE_OXIMETRY = Code(LOINC, "59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry")
OXYGEN_SATURATION = Code(LOINC, "2708-6", "Oxygen saturation in Arterial blood")
PERFUSION_INDEX = Code(LOINC, "61006-3", "Perfusion index Tissue by Pulse oximetry")
BODY_TEMPERATURE = Code(LOINC, "8310-5", "Body temperature")
RR_INTERVAL = Code(LOINC, "8637-1", "R-R interval by EKG")
BATTERY_CHARGE = Code(MDC, "67996", "MDC_ATTR_VAL_BATT_CHARGE")
ECG_LEAD = Code(MDC, "131328", "MDC_ECG_ELEC_POTL")
ECG_LEAD_I = Code(MDC, "131329", "MDC_ECG_ELEC_POTL_I")
ECG_LEAD_II = Code(MDC, "131330", "MDC_ECG_ELEC_POTL_II")
BEAT_CLASS = Code(LOCAL, "beat-class", "Heartbeat class (ANSI/AAMI EC57)")
SIGNAL_QUALITY = Code(LOCAL, "signal-quality", "Signal quality")
