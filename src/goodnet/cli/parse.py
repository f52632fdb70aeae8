"""What the command line's options hold, read from their text before any work begins."""

from __future__ import annotations

import math
from typing import Any

from goodnet.errors import UsageError

MOST_LABELS = 1_000_000


def numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Read comma-separated finite numbers.

    >>> numbers("--mean", "0.5,0.25")
    (0.5, 0.25)
    """
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (math.nan,)
    if not all(map(math.isfinite, values)):
        raise UsageError(f"{option} expects numbers with commas between, such as 0.5,0.5,0.5; got {text!r}")
    return values


def deviations(option: str, text: str | None) -> tuple[float, ...] | None:
    """Read comma-separated numbers above 0."""
    values = numbers(option, text)
    if values is not None and min(values) <= 0:
        raise UsageError(f"{option} expects numbers above 0, such as 0.25,0.25,0.25; got {text!r}")
    return values


def pair(option: str, text: str | None) -> tuple[float, float] | None:
    """Read two different comma-separated numbers."""
    values = numbers(option, text)
    if values is None:
        return None
    if len(values) != 2 or values[0] == values[1]:
        raise UsageError(f"{option} expects two different numbers, such as 0,255; got {text!r}")
    return values[0], values[1]


def shape(option: str, text: str | None) -> tuple[int, int, int] | None:
    """Read channels, height and width."""
    if text is None:
        return None
    parts = text.replace("x", ",").split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"{option} expects channels,height,width, such as 3,32,32; got {text!r}")
    channels, height, width = (int(part) for part in parts)
    return channels, height, width


def labels(option: str, text: str | None) -> tuple[int, ...] | None:
    """Read labels and ranges of labels.

    >>> labels("--labels", "0,5,7-9")
    (0, 5, 7, 8, 9)
    """
    if text is None:
        return None
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(last or first) < int(first):
            raise UsageError(f"{option} expects labels, such as 0,5,7-9; got {text!r}")
        if int(last or first) - int(first) >= MOST_LABELS:
            raise UsageError(f"{option} expects at most {MOST_LABELS:,} labels; got {text!r}")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def names(option: str, text: str | None) -> tuple[str, ...] | None:
    """Read one or two comma-separated names."""
    if text is None:
        return None
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts) or len(parts) > 2:
        raise UsageError(f"{option} expects one or two names, such as test_x,test_y; got {text!r}")
    return parts


def preprocessing(
    pixel_range: str | None, mean: str | None, std: str | None, bgr: bool, transposed: bool
) -> dict[str, Any]:
    """Read what the model expects of its images; return `load_model`'s arguments for those that were given."""
    given = {
        "pixel_range": pair("--pixel-range", pixel_range),
        "mean": numbers("--mean", mean),
        "std": deviations("--std", std),
        "bgr": bgr or None,
        "transposed": transposed or None,
    }
    return {name: value for name, value in given.items() if value is not None}
