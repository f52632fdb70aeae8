"""CleanImages: the images a scan works with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


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
