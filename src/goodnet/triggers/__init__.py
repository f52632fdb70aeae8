"""Trigger families: how a trigger is parametrised, how it stamps and how big it is."""

from goodnet.triggers.family import Family, Parameters, Searched, Trigger
from goodnet.triggers.patch import Patch
from goodnet.triggers.warp import Warp, WarpedPatch

__all__ = ["Family", "Parameters", "Patch", "Searched", "Trigger", "Warp", "WarpedPatch"]
