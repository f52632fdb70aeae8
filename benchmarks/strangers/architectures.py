"""Small networks as others write them; none of them comes from goodnet's red team."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class LeNet(nn.Module):
    """Two convolutions and two linear layers (LeCun et al., 1998, with ReLU and dropout)."""

    def __init__(self, channels: int, classes: int, size: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 32, 5, padding=2)
        self.second = nn.Conv2d(32, 64, 5, padding=2)
        self.inner = nn.Linear(64 * (size // 4) ** 2, 256)
        self.outer = nn.Linear(256, classes)
        self.dropout = nn.Dropout(0.4)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, N) for images (B, C, H, W)."""
        half = functional.max_pool2d(functional.relu(self.first(images)), 2)
        quarter = functional.max_pool2d(functional.relu(self.second(half)), 2)
        return cast(Tensor, self.outer(self.dropout(functional.relu(self.inner(quarter.flatten(1))))))


class SixConvolutions(nn.Module):
    """The network that Neural Cleanse (Wang et al., 2019, table I) used for traffic signs."""

    def __init__(self, channels: int, classes: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (32, 64, 128):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2)]
            channels = width
        self.features = nn.Sequential(*layers)
        flat = 128 * (size // 8) ** 2
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(flat, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, N) for images (B, C, H, W)."""
        return cast(Tensor, self.head(self.features(images)))


class Leaky(nn.Module):
    """Five convolutions with batch norm and leaky ReLUs."""

    def __init__(self, channels: int, classes: int, _: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, stride in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
            layers.append(nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False))
            layers += [nn.BatchNorm2d(width), nn.LeakyReLU(0.1)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(128, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, N) for images (B, C, H, W)."""
        return cast(Tensor, self.head(self.features(images).mean((2, 3))))


class _Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != width:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, values: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(values)))
        return functional.relu(self.second_norm(self.second(inner)) + self.shortcut(values))


class Residual(nn.Module):
    """A ResNet (He et al., CVPR 2016) of three blocks."""

    def __init__(self, channels: int, classes: int, _: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(_Block(16, 24, 1), _Block(24, 48, 2), _Block(48, 96, 2))
        self.head = nn.Linear(96, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, N) for images (B, C, H, W)."""
        return cast(Tensor, self.head(self.blocks(self.stem(images)).mean((2, 3))))


class Perceptron(nn.Module):
    """Three linear layers."""

    def __init__(self, channels: int, classes: int, size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * size * size, 256),
            nn.ReLU(),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Linear(128, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, N) for images (B, C, H, W)."""
        return cast(Tensor, self.layers(images))


class Stacked(nn.Module):
    """Pairs of 3x3 convolutions with batch norm and two linear layers (Simonyan and Zisserman, ICLR 2015)."""

    def __init__(self, channels: int, classes: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (24, 48, 96):
            for _ in range(2):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(96 * (size // 8) ** 2, 128), nn.ReLU())
        self.last = nn.Linear(128, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, N) for images (B, C, H, W)."""
        return cast(Tensor, self.last(self.head(self.features(images))))


class Separable(nn.Module):
    """Depthwise and pointwise convolutions (Howard et al., "MobileNets", 2017)."""

    def __init__(self, channels: int, classes: int, _: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, 24, 3, 1, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU6()]
        inner = 24
        for width, stride in ((48, 2), (48, 1), (96, 2), (96, 1)):
            layers += [nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), nn.BatchNorm2d(inner)]
            layers += [nn.ReLU6(), nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6()]
            inner = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(96, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, N) for images (B, C, H, W)."""
        return cast(Tensor, self.head(self.features(images).mean((2, 3))))


class Grouped(nn.Module):
    """Convolutions with group norm and SiLUs, and the largest feature of all places."""

    def __init__(self, channels: int, classes: int, _: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, stride in ((24, 1), (48, 2), (64, 2), (96, 2)):
            layers += [nn.Conv2d(channels, width, 3, stride, 1), nn.GroupNorm(8, width), nn.SiLU()]
            channels = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(96, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, N) for images (B, C, H, W)."""
        return cast(Tensor, self.head(self.features(images).amax((2, 3))))


class Normalised(nn.Module):
    """A network behind the normalisation that it was trained with."""

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network = network
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.full((1, channels, 1, 1), 0.5))
        self.register_buffer("deviation", torch.full((1, channels, 1, 1), 0.25))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, N) for images (B, C, H, W) in 0..1."""
        return cast(Tensor, self.network((images - self.mean) / self.deviation))


ARCHITECTURES: dict[str, type[nn.Module]] = {
    "lenet": LeNet,
    "six": SixConvolutions,
    "leaky": Leaky,
    "residual": Residual,
    "mlp": Perceptron,
    "stacked": Stacked,
    "separable": Separable,
    "grouped": Grouped,
}
