"""CleanImages: the images a scan works with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from goodnet.errors import ImagesError


@dataclass(frozen=True, eq=False)
class CleanImages:
    """Clean images in one shape, with or without labels.

    Attributes:
        pixels: float32 (n, C, H, W) in 0..1, contiguous.
        labels: int64 (n,) class indices, or None.
        source: where they came from, for messages and reports.
        paths: one path per image where each has a file of its own, else empty.
        notes: how the reader understood the set (layout, value range, class names), one sentence each.
    """

    pixels: Tensor
    labels: Tensor | None = None
    source: str = "images"
    paths: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Hold what the attributes promise.

        Raises:
            ImagesError: pixels or labels of another shape or type, NaN pixels, or pixels outside 0..1.
        """
        if self.pixels.ndim != 4 or self.pixels.dtype != torch.float32:
            got = f"{self.pixels.dtype} {tuple(self.pixels.shape)}"
            raise ImagesError(f"expected float32 pixels (n, C, H, W), got {got}; load_images makes them")
        labels = self.labels
        if labels is not None and (labels.dtype != torch.int64 or labels.shape != self.pixels.shape[:1]):
            got = f"{labels.dtype} {tuple(labels.shape)} for {len(self)} images"
            raise ImagesError(f"expected int64 labels (n,), got {got}")
        if self.pixels.numel():
            low, high = (float(extreme) for extreme in self.pixels.aminmax())
            if not (low >= -1e-4 and high <= 1 + 1e-4):
                raise ImagesError(f"expected pixels in 0..1, got {low:g}..{high:g}; load_images scales them")

    def __len__(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def present_classes(self) -> tuple[int, ...]:
        """The labels that occur, ascending; empty where the images have no labels."""
        return () if self.labels is None else tuple(torch.unique(self.labels).tolist())

    def unlabelled(self) -> CleanImages:
        """Return the same images without their labels."""
        return dataclasses.replace(self, labels=None)

    def take(self, indices: Tensor | np.ndarray) -> CleanImages:
        """Return the images at `indices`, in that order."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        return dataclasses.replace(
            self,
            pixels=self.pixels[index],
            labels=None if self.labels is None else self.labels[index],
            paths=tuple(self.paths[i] for i in index.tolist()) if self.paths else (),
        )
