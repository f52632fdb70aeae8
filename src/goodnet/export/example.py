"""The network on the CPU with an example input: what every exporter of torch wants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from goodnet.goodnet import GoodNet


@contextmanager
def on_cpu(good: GoodNet) -> Iterator[tuple[nn.Module, Tensor]]:
    """Give a GoodNet's network, moved to the CPU while the block runs, and two images (2, C, H, W)."""
    example = torch.rand(2, *good.facts.input_shape, generator=torch.Generator().manual_seed(0))
    try:
        yield good.network.cpu(), example
    finally:
        good.network.to(good.device)
