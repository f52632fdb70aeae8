"""Networks that were exported for one image, for any number of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class EachAlone(nn.Module):
    """A network that only takes one image a call, for any number of them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Run the network on each image, in one vectorised call."""

        def one(image: Tensor) -> Tensor:
            output: Tensor = self.network(image.unsqueeze(0))
            return output.squeeze(0)

        output: Tensor = torch.vmap(one)(images)
        return output
