"""Who a record is of, as far as the comments in its header say."""

from __future__ import annotations

import re
from collections.abc import Iterable

UNKNOWN = "unknown"
BAND_YEARS, OLDEST = 20, 80

# MIT-BIH writes "69 M 1085 1629 x1"; PTB "age: 81" and "sex: female"; others "<age>: 69 <sex>: M".
_MIT_BIH = re.compile(r"\s*(?P<age>\d{1,3})\s+(?P<sex>[MF])\b")
_AGE = re.compile(r"\bage\b>?\s*[:=]\s*(?P<age>\d{1,3})\b", re.IGNORECASE)
_SEX = re.compile(r"\b(?:sex|gender)\b>?\s*[:=]\s*(?P<sex>m|f|male|female)\b", re.IGNORECASE)


def groups_of(comments: Iterable[str]) -> dict[str, str]:
    """Return ``sex``, ``F`` or ``M``, and ``age_band`` of 20 years, each ``unknown`` if the comments do not say."""
    sex = age = None
    for comment in comments:
        both = _MIT_BIH.match(comment)
        sex = sex or both or _SEX.search(comment)
        age = age or both or _AGE.search(comment)
    return {
        "sex": sex["sex"][0].upper() if sex else UNKNOWN,
        "age_band": age_band(int(age["age"])) if age else UNKNOWN,
    }


def age_band(years: int) -> str:
    """Return the 20 years that an age is in; ages from 80 on are one band."""
    if years >= OLDEST:
        return f"{OLDEST} and over"
    first = years - years % BAND_YEARS
    return f"{first}-{first + BAND_YEARS - 1}"
