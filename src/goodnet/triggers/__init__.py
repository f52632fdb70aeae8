"""Trigger families: how a trigger is parametrised, how it stamps and how big it is."""

from goodnet.triggers.family import Family, Parameters, Trigger
from goodnet.triggers.patch import Patch
from goodnet.triggers.spectral import Spectral

__all__ = ["Family", "Parameters", "Patch", "Spectral", "Trigger"]
