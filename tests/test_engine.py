"""The engine: the same answers in the number format that is faster."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from goodnet.classifier import Classifier, freeze
from goodnet.depthwise import depthwise
from goodnet.engine import Engine


class Seen(nn.Conv2d):
    """A convolution that notes in what number format it runs."""

    kind: torch.dtype | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        output = super().forward(inputs)
        Seen.kind = output.dtype
        return output


@pytest.mark.parametrize(
    "kernel, stride, padding", [(3, 1, 1), (3, 2, 1), (5, 2, 2), (2, 2, 0), (3, 4, 0), ((1, 3), (2, 1), (0, 1))]
)
@pytest.mark.parametrize("height, width", [(8, 8), (9, 7)])
def test_the_gradient_of_a_depthwise_convolution_is_right(
    kernel: Any, stride: Any, padding: Any, height: int, width: int
) -> None:
    usual = nn.Conv2d(4, 4, kernel, stride, padding, groups=4).double()
    images = torch.rand(2, 4, height, width, dtype=torch.float64, requires_grad=True)
    wanted = usual(images)
    output = depthwise(images, usual.weight, usual.bias, usual.stride, usual.padding)
    weights = torch.rand_like(wanted)
    torch.testing.assert_close(output, wanted)
    torch.testing.assert_close(
        torch.autograd.grad(output, images, weights), torch.autograd.grad(wanted, images, weights)
    )


def test_depthwise_convolutions_are_rounded_too() -> None:
    network = nn.Sequential(Seen(4, 4, 3, stride=2, groups=4), nn.Conv2d(4, 3, 2), nn.Flatten())
    model = Classifier(freeze(network), (4, 5, 5), 3)
    images = torch.rand(2, 4, 5, 5, requires_grad=True)
    exact, rounded = (Engine(model, bfloat16).logits(images) for bfloat16 in (False, True))
    assert Seen.kind is torch.bfloat16
    torch.testing.assert_close(rounded, exact, atol=0.05, rtol=0.05)
    wanted, got = (torch.autograd.grad(logits.sum(), images)[0] for logits in (exact, rounded))
    torch.testing.assert_close(got, wanted, atol=0.05, rtol=0.05)


def test_convolutions_over_groups_of_channels_stay_in_float32() -> None:
    for groups, kind in ((1, torch.bfloat16), (2, torch.float32)):
        network = nn.Sequential(Seen(4, 4, 3, groups=groups), nn.Conv2d(4, 3, 3), nn.Flatten())
        model = Classifier(freeze(network), (4, 5, 5), 3)
        images = torch.rand(2, 4, 5, 5, requires_grad=True)
        logits = Engine(model, bfloat16=True).logits(images)
        assert Seen.kind is kind
        torch.testing.assert_close(logits, network(images), atol=0.05, rtol=0.05)
        assert torch.autograd.grad(logits.sum(), [images])[0].abs().sum() > 0
        assert "forward" not in vars(network[0])  # the network that was given stays as it is
