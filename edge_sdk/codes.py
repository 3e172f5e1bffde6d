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
ECG_LEAD = Code(MDC, "131328", "MDC_ECG_ELEC_POTL")
ECG_LEAD_I = Code(MDC, "131329", "MDC_ECG_ELEC_POTL_I")
ECG_LEAD_II = Code(MDC, "131330", "MDC_ECG_ELEC_POTL_II")
BEAT_CLASS = Code(LOCAL, "beat-class", "Heartbeat class (ANSI/AAMI EC57)")
SIGNAL_QUALITY = Code(LOCAL, "signal-quality", "Signal quality")
