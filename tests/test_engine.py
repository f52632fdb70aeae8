"""The engine: the same answers in the number format that is faster."""

import torch
from torch import Tensor, nn

from goodnet.classifier import Classifier, freeze
from goodnet.engine import Engine


class Seen(nn.Conv2d):
    """A convolution that notes in what number format it runs."""

    kind: torch.dtype | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        output = super().forward(inputs)
        Seen.kind = output.dtype
        return output


def test_convolutions_over_groups_of_channels_stay_in_float32() -> None:
    for groups, kind in ((1, torch.bfloat16), (4, torch.float32)):
        network = nn.Sequential(Seen(4, 4, 3, groups=groups), nn.Conv2d(4, 3, 3), nn.Flatten())
        model = Classifier(freeze(network), (4, 5, 5), 3)
        images = torch.rand(2, 4, 5, 5, requires_grad=True)
        logits = Engine(model, bfloat16=True).logits(images)
        assert Seen.kind is kind
        torch.testing.assert_close(logits, network(images), atol=0.05, rtol=0.05)
        assert torch.autograd.grad(logits.sum(), [images])[0].abs().sum() > 0
        assert "forward" not in vars(network[0])  # the network that was given stays as it is
