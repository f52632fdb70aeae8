"""Keras normalisation layers as torch layers that can take their weights from Keras and give them back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from goodnet.errors import ModelError
from goodnet.formats.keras.weighted import Arrays, parameter


def normalised_axis(config: dict[str, Any]) -> int | None:
    """Return the axis that a normalisation works on, or None for the channels of an image.

    Axis 1 is the channels of a vector, but the rows of an image with channels last.
    """
    axis = config.get("axis", -1)
    (axis,) = axis if isinstance(axis, list) else (axis,)
    return None if axis in (-1, 3) or config.get("channels_first") else int(axis)


class BatchNormalization(nn.BatchNorm2d):
    """BatchNormalization over channels, always with the stored statistics: gamma, beta, mean, variance."""

    def __init__(self, config: dict[str, Any], weights: Arrays) -> None:
        super().__init__(weights[-1].shape[0], eps=float(config.get("epsilon", 1e-3)), affine=False)
        self.scaled = bool(config.get("scale", True))
        self.centred = bool(config.get("center", True))
        if len(weights) != 2 + self.scaled + self.centred:
            raise ModelError(f"expected {2 + self.scaled + self.centred} weights, got {len(weights)}")
        self.along = normalised_axis(config)
        self.load(weights)

    def load(self, weights: Arrays) -> None:
        """Take gamma, beta (where present), mean and variance."""
        *affine, mean, variance = weights
        self.weight = parameter(affine[0]) if self.scaled else None  # type: ignore[assignment]
        self.bias = parameter(affine[-1]) if self.centred else None  # type: ignore[assignment]
        self.running_mean = torch.from_numpy(np.array(mean, dtype=np.float32))
        self.running_var = torch.from_numpy(np.array(variance, dtype=np.float32))

    def dump(self) -> Arrays:
        """Return gamma, beta (where present), mean and variance."""
        state = (self.weight, self.bias, self.running_mean, self.running_var)
        return [values.detach().cpu().numpy() for values in state if values is not None]

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise (B, C), (B, C, H, W) or (B, T, C)."""
        if inputs.ndim == 3:
            return self.forward(inputs.transpose(1, 2)).transpose(1, 2)
        if inputs.ndim == 4 and self.along is not None:
            raise NotImplementedError(f"normalisation of images over axis {self.along}")
        return functional.batch_norm(
            inputs, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )


class LayerNormalization(nn.Module):
    """LayerNormalization over the last Keras axis; GroupNormalization where `groups` is given."""

    def __init__(self, config: dict[str, Any], weights: Arrays, groups: int | None = None) -> None:
        super().__init__()
        self.scaled = bool(config.get("scale", True))
        self.centred = bool(config.get("center", True))
        if config.get("rms_scaling"):
            raise NotImplementedError("RMS scaling")
        self.epsilon = float(config.get("epsilon", 1e-3))
        self.groups = groups
        self.along = normalised_axis(config)
        self.load(weights)

    def load(self, weights: Arrays) -> None:
        """Take gamma and beta, where present."""
        self.weight = parameter(weights[0]) if self.scaled else None
        self.bias = parameter(weights[-1]) if self.centred else None

    def dump(self) -> Arrays:
        """Return gamma and beta, where present."""
        return [values.detach().cpu().numpy() for values in (self.weight, self.bias) if values is not None]

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise (B, C), (B, T, C) or (B, C, H, W)."""
        if inputs.ndim == 4 and self.along is not None:
            raise NotImplementedError(f"normalisation of images over axis {self.along}")
        if self.groups is not None:
            if inputs.ndim == 3:
                return self.forward(inputs.transpose(1, 2)).transpose(1, 2)
            groups = inputs.shape[1] if self.groups == -1 else self.groups
            return functional.group_norm(inputs, groups, self.weight, self.bias, self.epsilon)
        if inputs.ndim == 4:
            inputs = inputs.permute(0, 2, 3, 1)
            return functional.layer_norm(inputs, inputs.shape[-1:], self.weight, self.bias, self.epsilon).permute(
                0, 3, 1, 2
            )
        return functional.layer_norm(inputs, inputs.shape[-1:], self.weight, self.bias, self.epsilon)
