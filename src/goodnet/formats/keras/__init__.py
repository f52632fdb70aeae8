"""Keras models, from `.keras` and `.h5` files, without Keras: config and weights become native torch layers.

Nothing in a Keras file is executed. Its config is JSON and its weights are HDF5 arrays; layers that hold code
(Lambda) or that need the author's own code are refused.
"""

from __future__ import annotations

from goodnet.formats.keras.file import HDF5_FORMAT, KERAS_FORMAT

__all__ = ["HDF5_FORMAT", "KERAS_FORMAT"]
