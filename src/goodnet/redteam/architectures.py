"""Small image classifiers to plant backdoors in: each takes (n, C, size, size) in 0..1 and returns logits (n, N).

The normalisation is part of the network, so nobody who uses it needs to know it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from goodnet.redteam.attack import RecipeError


class Normalize(nn.Module):
    """Subtracts a mean per channel and divides by a standard deviation per channel, both in units of 0..1."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return images (n, C, H, W) with mean and deviation taken off."""
        return (images - self.mean) / self.std


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and batch norm, without the activation."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _conv(inputs, outputs, stride=stride)
        self.second = _conv(outputs, outputs)
        same = inputs == outputs and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else _conv(inputs, outputs, kernel=1, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, inputs, H, W) to (n, outputs, H / stride, W / stride)."""
        return F.relu(self.second(F.relu(self.first(features))) + self.shortcut(features))


class InvertedResidual(nn.Module):
    """Expand, filter each channel alone, project (MobileNetV2, Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int = 3) -> None:
        super().__init__()
        inner = inputs * expansion
        self.layers = nn.Sequential(
            _conv(inputs, inner, kernel=1),
            nn.ReLU6(),
            _conv(inner, inner, stride=stride, groups=inner),
            nn.ReLU6(),
            _conv(inner, outputs, kernel=1),
        )
        self.residual = inputs == outputs and stride == 1

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, inputs, H, W) to (n, outputs, H / stride, W / stride)."""
        output: Tensor = self.layers(features)
        return features + output if self.residual else output


class DenseBlock(nn.Module):
    """Layers that each see the outputs of all before them (DenseNet, Huang et al. 2017)."""

    def __init__(self, inputs: int, growth: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(_conv(inputs + growth * done, growth), nn.ReLU()) for done in range(depth)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, inputs, H, W) to (n, inputs + growth * depth, H, W)."""
        for layer in self.layers:
            features = torch.cat([features, layer(features)], dim=1)
        return features


class AttentionBlock(nn.Module):
    """Self-attention and a two-layer perceptron, each after a layer norm and around a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (n, T, width) to tokens of the same shape."""
        count, length, width = tokens.shape
        joint = self.query_key_value(self.attention_norm(tokens))
        query, key, value = (
            joint.view(count, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        )
        scores = (query @ key.transpose(-2, -1)) * (width // self.heads) ** -0.5
        mixed = (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(count, length, width)
        tokens = tokens + self.project(mixed)
        output: Tensor = tokens + self.perceptron(tokens)
        return output


class VisionTransformer(nn.Module):
    """A small vision transformer (Dosovitskiy et al. 2021) with overlapping patches that pools all tokens."""

    def __init__(
        self, in_channels: int, num_classes: int, size: int, width: int = 96, depth: int = 5, heads: int = 3
    ) -> None:
        super().__init__()
        side = size // 4
        self.embed = nn.Sequential(
            nn.Conv2d(in_channels, width // 2, 3, 2, 1), nn.ReLU(), nn.Conv2d(width // 2, width, 3, 2, 1)
        )
        self.place = nn.Parameter(0.02 * torch.randn(1, side * side, width))
        self.blocks = nn.Sequential(*(AttentionBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.classify = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (n, C, size, size) to logits (n, N)."""
        tokens = self.embed(images).flatten(2).transpose(1, 2) + self.place
        logits: Tensor = self.classify(self.norm(self.blocks(tokens)).mean(dim=1))
        return logits


def _resnet(
    in_channels: int, num_classes: int, size: int, widths: Sequence[int], stem_stride: int = 1
) -> nn.Sequential:
    layers: list[nn.Module] = [_conv(in_channels, widths[0], stride=stem_stride), nn.ReLU()]
    side = -(-size // stem_stride)
    for stage, (before, after) in enumerate(zip([widths[0], *widths], widths, strict=False)):
        # On a single pixel both strides do the same, but with 2 torch leaves part of the bfloat16 gradient unwritten.
        stride = 1 if stage == 0 or side == 1 else 2
        layers.append(ResidualBlock(before, after, stride))
        side = -(-side // stride)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], num_classes))


def _plain(
    in_channels: int, num_classes: int, size: int, *, batch_norm: bool, widths: Sequence[int] = (32, 64, 128)
) -> nn.Sequential:
    """Six convolutions and two dense layers: the GTSRB network of Neural Cleanse (Wang et al. 2019, table VIII)."""
    layers: list[nn.Module] = []
    before = in_channels
    for width in widths:
        for inputs in (before, width):
            layers.append(nn.Conv2d(inputs, width, 3, 1, 1, bias=not batch_norm))
            layers += [nn.BatchNorm2d(width)] * batch_norm + [nn.ReLU()]
        layers += [nn.MaxPool2d(2), nn.Dropout(0.2)]
        before = width
    side = size // 2 ** len(widths)
    dense = 256 if batch_norm else 512
    layers += [nn.Flatten(), nn.Linear(before * side * side, dense), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*layers, nn.Linear(dense, num_classes))


def _mobilenet(in_channels: int, num_classes: int, size: int) -> nn.Sequential:
    layers: list[nn.Module] = [_conv(in_channels, 24), nn.ReLU6()]
    for inputs, outputs, stride in ((24, 24, 2), (24, 32, 1), (32, 48, 2), (48, 48, 1), (48, 96, 2), (96, 96, 1)):
        layers.append(InvertedResidual(inputs, outputs, stride))
    layers += [_conv(96, 256, kernel=1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(256, num_classes))


def _vgg(in_channels: int, num_classes: int, size: int) -> nn.Sequential:
    """Stages of 3x3 convolutions with pooling between (Simonyan and Zisserman 2015), pooled globally in the end."""
    layers: list[nn.Module] = []
    before = in_channels
    for stage in ((16,), (32, 32), (64, 64), (128,)):
        layers += [nn.MaxPool2d(2)] * bool(layers)
        for width in stage:
            layers += [_conv(before, width), nn.ReLU()]
            before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))


def _densenet(in_channels: int, num_classes: int, size: int, growth: int = 16, depth: int = 3) -> nn.Sequential:
    """Three dense blocks behind a stem of stride 2; a 1x1 convolution and pooling halve what each hands on."""
    width = 2 * growth
    layers: list[nn.Module] = [_conv(in_channels, width, stride=2), nn.ReLU(), DenseBlock(width, growth, depth)]
    for _ in range(2):
        width += growth * depth
        layers += [_conv(width, width // 2, kernel=1), nn.ReLU(), nn.MaxPool2d(2)]
        width //= 2
        layers.append(DenseBlock(width, growth, depth))
    width += growth * depth
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))


ARCHITECTURES: dict[str, Callable[[int, int, int], nn.Module]] = {
    "conv": partial(_plain, batch_norm=True),
    "conv_without_norm": partial(_plain, batch_norm=False),
    "densenet": _densenet,
    "mobilenet": _mobilenet,
    "resnet": partial(_resnet, widths=(16, 32, 64, 128)),
    "resnet_fast": partial(_resnet, widths=(16, 32, 64, 128), stem_stride=2),
    "resnet_small": partial(_resnet, widths=(16, 32, 64)),
    "vgg": _vgg,
    "vit": VisionTransformer,
}


def build(
    architecture: str, in_channels: int, num_classes: int, size: int, mean: Sequence[float], std: Sequence[float]
) -> nn.Sequential:
    """Return an untrained network; its weights come from torch's global random state.

    Args:
        architecture: a name in `ARCHITECTURES`.
        in_channels: C of the images.
        num_classes: N, the number of logits.
        size: height and width of the images in pixels, at least 8.
        mean: per-channel mean of the training images, in 0..1.
        std: per-channel standard deviation of the training images, in units of 0..1.

    Raises:
        RecipeError: the architecture is not known or the images are too small.
    """
    if architecture not in ARCHITECTURES:
        raise RecipeError(f"expected an architecture among {', '.join(ARCHITECTURES)}, got {architecture!r}")
    if size < 8:
        raise RecipeError(f"expected images of at least 8x8 pixels, got {size}x{size}")
    return nn.Sequential(Normalize(mean, std), ARCHITECTURES[architecture](in_channels, num_classes, size))


def build_for(architecture: str, images: Tensor, num_classes: int) -> nn.Sequential:
    """Return an untrained network for training images (n, C, size, size) in 0..1, normalised by their own statistics.

    Raises:
        RecipeError: as `build`.
    """
    mean, std = images.mean(dim=(0, 2, 3)), images.std(dim=(0, 2, 3)).clamp_min(1e-3)
    return build(architecture, images.shape[1], num_classes, images.shape[2], mean.tolist(), std.tolist())
