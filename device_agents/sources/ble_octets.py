"""The numbers that Bluetooth measurements are made of, read octet by octet.

Sources: Bluetooth SIG, *GATT Specification Supplement* (little-endian, least significant octet first; Date Time);
ISO/IEEE 11073-20601 for the medical floats of 16 bits (SFLOAT) and 32 bits (FLOAT) and their special values.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edge_sdk.errors import SignalError

_SFLOAT_EXPONENT_BITS, _SFLOAT_MANTISSA_BITS = 4, 12
_FLOAT_EXPONENT_BITS, _FLOAT_MANTISSA_BITS = 8, 24


@dataclass(frozen=True, slots=True)
class Medical:
    """A medical float.

    Attributes:
        value: The number; ``None`` when it stands for something else.
        absent_reason: For what: a FHIR data-absent-reason; ``error`` for "not at this resolution" and reserved values.
    """

    value: float | None
    absent_reason: str = ""


class Octets:
    """Reads one characteristic's value from its first octet to its last.

    Args:
        data: The value.
        what: Its name, for messages.
    """

    def __init__(self, data: bytes, *, what: str) -> None:
        self._data, self._what, self._at = bytes(data), what, 0

    @property
    def left(self) -> int:
        """How many octets are left."""
        return len(self._data) - self._at

    def unsigned(self, octets: int) -> int:
        """Read an unsigned integer.

        Raises:
            SignalError: The value ends before.
        """
        end = self._at + octets
        if end > len(self._data):
            raise self.wrong(f"ends after {len(self._data)} octets, and its flags promise {end} or more")
        number = int.from_bytes(self._data[self._at : end], "little")
        self._at = end
        return number

    def sfloat(self) -> Medical:
        """Read a medical float of 16 bits."""
        return _medical(self.unsigned(2), _SFLOAT_EXPONENT_BITS, _SFLOAT_MANTISSA_BITS)

    def float32(self) -> Medical:
        """Read a medical float of 32 bits."""
        return _medical(self.unsigned(4), _FLOAT_EXPONENT_BITS, _FLOAT_MANTISSA_BITS)

    def date_time(self) -> datetime | None:
        """Read a Date Time: the wearable's own, of no time zone; ``None`` when it does not know its date.

        Raises:
            SignalError: There is no such day or time.
        """
        year, *rest = self.unsigned(2), *(self.unsigned(1) for _ in range(5))
        month, day, hour, minute, second = rest
        if not (year and month and day):
            return None
        try:
            return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001  # it has none
        except ValueError as error:
            raise self.wrong(f"has the time {year}-{month}-{day} {hour}:{minute}:{second}, which is none") from error

    def end(self, *, flags_left: int) -> None:
        """Return if nothing is left, or if flags of a newer specification may have announced it.

        Raises:
            SignalError: Octets are left that no flag announced, so that nothing may be where it was looked for.
        """
        if self.left and not flags_left:
            raise self.wrong(f"has {self.left} octets more than its flags announce")

    def wrong(self, problem: str) -> SignalError:
        """Return the error that says what is wrong with this value."""
        return SignalError(f"{self._what} {self._data.hex(' ')} {problem}", remedy="update the wearable's firmware")


def _medical(raw: int, exponent_bits: int, mantissa_bits: int) -> Medical:
    exponent = _signed(raw >> mantissa_bits, exponent_bits)
    mantissa = _signed(raw & ((1 << mantissa_bits) - 1), mantissa_bits)
    highest = (1 << (mantissa_bits - 1)) - 1
    special = {
        highest: "not-a-number",
        -highest - 1: "error",
        highest - 1: "positive-infinity",
        -highest + 1: "negative-infinity",
        -highest: "error",
    }
    if exponent == 0 and mantissa in special:
        return Medical(None, special[mantissa])
    scale = 10 ** abs(exponent)
    return Medical(mantissa / scale if exponent < 0 else float(mantissa * scale))  # 367 / 10 is 36.7; times 0.1 is not


def _signed(raw: int, bits: int) -> int:
    return raw - (1 << bits) if raw >> (bits - 1) else raw
