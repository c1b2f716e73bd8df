"""Lengths of time as people write them: `250ms`, `30s`, `5m`, `2h`, `1d`."""

import re

MAX_S = 30 * 86400.0
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s{0,9}(ms|s|m|h|d)?")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}


def constant_duration_s(value: object) -> float | None:
    """As `parse_duration_s`; None for what is no duration, such as a text with an expression."""
    try:
        return parse_duration_s(value)
    except ValueError:
        return None


def parse_duration_s(value: object) -> float:
    """Seconds of `30`, `1.5`, `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"1d"`; a bare number is seconds.

    Raises:
        ValueError: not a duration, zero, or above 30 days.
    """
    match = _DURATION.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    if match is None:
        raise ValueError(f"{str(value)[:60]!r} is not a duration such as 30s, 5m or 2h")
    seconds = float(match[1]) * _UNIT_S[match[2]]
    if seconds <= 0:
        raise ValueError(f"{value} is no time at all: a duration is longer than 0")
    if seconds > MAX_S:
        raise ValueError(f"{value} is longer than a duration may be, which is {MAX_S / _UNIT_S['d']:.0f} days")
    return seconds
