"""Trigger families: how a trigger is parametrised, how it stamps and how big it is."""

from goodnet.triggers.additive import Additive
from goodnet.triggers.changed import ChangedPatch
from goodnet.triggers.coarse import Coarse
from goodnet.triggers.family import Family, Parameters, Searched, Slight, Trigger, stacked
from goodnet.triggers.filter import Filter
from goodnet.triggers.generator import Generator
from goodnet.triggers.patch import Patch
from goodnet.triggers.warp import Warp

__all__ = [
    "Additive",
    "ChangedPatch",
    "Coarse",
    "Family",
    "Filter",
    "Generator",
    "Parameters",
    "Patch",
    "Searched",
    "Slight",
    "Trigger",
    "Warp",
    "stacked",
]
