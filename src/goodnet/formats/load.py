"""load_model: any model that goodnet reads, as a Classifier."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from goodnet.classifier import Classifier, PartialShape, Preprocessing, Shape, freeze
from goodnet.errors import ModelError
from goodnet.formats.keras import HDF5_FORMAT, KERAS_FORMAT
from goodnet.formats.loaded import ReadOptions
from goodnet.formats.onnx import ONNX_FORMAT

FORMATS = (KERAS_FORMAT, HDF5_FORMAT, ONNX_FORMAT)


def load_model(
    source: str | Path,
    *,
    input_shape: Shape | None = None,
    pixel_range: tuple[float, float] = (0.0, 1.0),
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    bgr: bool = False,
    transposed: bool = False,
    arch: str | None = None,
    num_classes: int | None = None,
    device: str | torch.device = "cpu",
) -> Classifier:
    """Read a model."""
    path = Path(source)
    preprocessing = Preprocessing(pixel_range, mean, std, bgr, transposed)
    asked: PartialShape = input_shape or (None, None, None)
    options = ReadOptions(_swap(asked) if transposed else asked, num_classes, arch)
    head = path.open("rb").read(64)
    for form in FORMATS:
        if form.matches(path, head):
            loaded = form.read(path, options)
            break
    else:
        raise ModelError(f"{path} is none of the formats goodnet reads")
    shape = _swap(loaded.input_shape) if transposed else loaded.input_shape
    classifier = Classifier(
        freeze(loaded.network.float()).to(device), shape, loaded.num_classes, preprocessing,
        str(path), hashlib.sha256(path.read_bytes()).hexdigest(), loaded.format, torch.device(device), loaded.warnings,
    )
    if None not in shape:
        return classifier.bound_to(shape)
    if input_shape:
        return classifier.bound_to(input_shape)
    return classifier


def _swap(shape: PartialShape) -> PartialShape:
    return shape[0], shape[2], shape[1]
