"""Agreement over starts: what searches that began elsewhere found of a label, taken together.

A planted trigger is found from wherever a search starts. What is reversed for a label without a backdoor depends more
on chance, and the smallest of ten labels' triggers may be small by chance alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from goodnet.search import Found
from goodnet.slight import FoundChange


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


def agreed_changes(first: Mapping[int, FoundChange], second: Mapping[int, FoundChange]) -> dict[int, FoundChange]:
    """Return for each label what two searches for a slight change found together.

    That is the mean of the rates and the geometric mean of the sizes, with the change that sends more images to it.

    Args:
        first: the change that one search found for each label.
        second: what the other found of the same labels.
    """
    together = {}
    for label, one in first.items():
        other = second[label]
        best = max(one, other, key=lambda each: (each.rate, -each.size))
        together[label] = FoundChange((one.rate + other.rate) / 2, best.trigger, math.sqrt(one.size * other.size))
    return together
