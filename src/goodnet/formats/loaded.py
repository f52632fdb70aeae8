"""What a format reader is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from goodnet.classifier import PartialShape


@dataclass(frozen=True)
class ReadOptions:
    """What the user said about the model, for readers of files that do not say it themselves.

    Attributes:
        input_shape: (C, H, W) of a network input; None for what is not known.
        num_classes: N, or None.
        arch: architecture for files that hold only weights, such as "resnet18", "timm:resnet18" or "net.py:Net".
    """

    input_shape: PartialShape = (None, None, None)
    num_classes: int | None = None
    arch: str | None = None


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A network as a reader returns it.

    Attributes:
        network: takes float32 (B, C, H, W), returns scores (B, N): logits wherever the reader could arrange it.
        input_shape: (C, H, W) as far as the file says.
        num_classes: N where the file says.
        format: name of the format, such as "onnx".
        warnings: what the user should know.
    """

    network: nn.Module
    input_shape: PartialShape = (None, None, None)
    num_classes: int | None = None
    format: str = "torch"
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """A model format: how to recognise a file by its content, and how to read it.

    Attributes:
        name: name for messages and reports.
        matches: whether the file at a path, whose first 64 bytes are given, is of this format.
        read: audits the file, then builds the network; raises ModelError or UnsafeModelError.
    """

    name: str
    matches: Callable[[Path, bytes], bool]
    read: Callable[[Path, ReadOptions], LoadedNetwork]
