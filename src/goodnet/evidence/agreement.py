"""Agreement over starts: what searches that began elsewhere found of a label, taken together.

A planted trigger is found from wherever a search starts. What is reversed for a label without a backdoor depends more
on chance, and the smallest of ten labels' triggers may be small by chance alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from goodnet.search import Found


def agreed(first: Sequence[Found], second: Sequence[Found]) -> list[Found]:
    """Return for each label what two searches found together.

    That is the geometric mean of the sizes and the mean of what the triggers do on other images, with the smaller one
    of the two triggers. A size is infinite where one of them is, and NaN where both searches failed.

    Args:
        first: what one search found of labels.
        second: what the other found of the same ones, in the same order.
    """
    return [_agreed(*pair) for pair in zip(first, second, strict=True)]


def _agreed(first: Found, second: Found) -> Found:
    small, large = sorted((first, second), key=lambda each: (math.isnan(each.size), each.size))
    if math.isnan(large.size):
        return small
    return replace(
        small,
        size=math.sqrt(small.size * large.size),
        universal_size=math.sqrt(small.universal_size * large.universal_size),
        transfer={name: (value + large.transfer[name]) / 2 for name, value in small.transfer.items()},
    )
