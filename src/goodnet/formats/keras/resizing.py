"""Keras layers that pad, crop and resize images (B, C, H, W)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from goodnet.formats.keras.weighted import pair


class Pad(nn.Module):
    """ZeroPadding2D, or Cropping2D with `sign` -1."""

    def __init__(self, amount: Any, sign: int) -> None:
        super().__init__()
        if isinstance(amount, int):
            amount = (amount, amount)
        (top, bottom), (left, right) = (pair(side) for side in amount)
        self.pads = tuple(sign * side for side in (left, right, top, bottom))

    def forward(self, inputs: Tensor) -> Tensor:
        """Pad or crop (B, C, H, W)."""
        return functional.pad(inputs, self.pads)


class UpSampling(nn.Module):
    """UpSampling2D by whole factors, nearest or bilinear."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.factors = pair(config.get("size", 2))
        self.mode = config.get("interpolation", "nearest")
        if self.mode not in ("nearest", "bilinear"):
            raise NotImplementedError(f"{self.mode} upsampling")

    def forward(self, inputs: Tensor) -> Tensor:
        """Enlarge (B, C, H, W)."""
        scale = (float(self.factors[0]), float(self.factors[1]))
        return functional.interpolate(inputs, scale_factor=scale, mode=self.mode)


class Resizing(nn.Module):
    """Resizing to a fixed size, nearest or bilinear."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.size = [int(config["height"]), int(config["width"])]
        mode = str(config.get("interpolation", "bilinear"))
        if mode not in ("nearest", "bilinear") or any(
            config.get(key) for key in ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio")
        ):
            raise NotImplementedError(f"Resizing ({mode}) with antialiasing, cropping or padding")
        self.mode = "nearest-exact" if mode == "nearest" else mode

    def forward(self, inputs: Tensor) -> Tensor:
        """Resize (B, C, H, W)."""
        return functional.interpolate(inputs, self.size, mode=self.mode)


class CentreCrop(nn.Module):
    """CenterCrop of images that are at least as large."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, inputs: Tensor) -> Tensor:
        """Crop (B, C, H, W)."""
        if inputs.shape[2] < self.height or inputs.shape[3] < self.width:
            raise NotImplementedError(f"a CenterCrop to {self.height}x{self.width} of smaller images")
        top, left = (inputs.shape[2] - self.height) // 2, (inputs.shape[3] - self.width) // 2
        return inputs[:, :, top : top + self.height, left : left + self.width]
