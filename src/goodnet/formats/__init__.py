"""Model files and live models, each read by its own file here, as a Classifier."""

from __future__ import annotations

from goodnet.formats.load import load_model
from goodnet.formats.loaded import Format, LoadedNetwork, ReadOptions

__all__ = ["Format", "LoadedNetwork", "ReadOptions", "load_model"]
